import { getLogoutFlow } from "@gateway/client/next";

export async function POST() {
  const flow = await getLogoutFlow({ returnTo: "/bye" });
  return flow ? flow.action() : Response.json({ reason: "no_session" }, { status: 401 });
}
