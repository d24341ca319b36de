import { SessionProvider } from "@gateway/client/next";
import { Suspense } from "react";

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        <Suspense><SessionProvider>{children}</SessionProvider></Suspense>
      </body>
    </html>
  );
}
