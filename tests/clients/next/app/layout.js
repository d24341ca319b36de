import { SessionProvider } from "@gateway/client/next";

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body><SessionProvider>{children}</SessionProvider></body>
    </html>
  );
}
