import { getEndReason, getServerSession } from "@gateway/client/next";
import Link from "next/link";
import { Badge } from "./badge.js";

export default async function Page() {
  const session = await getServerSession();
  return (
    <main>
      <p id="server">{session?.user.email ?? "none"}</p>
      <p id="ended">{(await getEndReason()) ?? "not ended"}</p>
      <Badge />
      <Link href="/dashboard?a=b">Dashboard</Link>
    </main>
  );
}
