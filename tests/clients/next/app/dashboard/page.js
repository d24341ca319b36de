import { getAccountContext, isUserAdmin, protectedRoute } from "@gateway/client/next";

export default async function Dashboard() {
  const { user } = await protectedRoute();
  const { activeOrganizationId } = await getAccountContext();
  return <p id="account">{`${user.email} ${activeOrganizationId} ${await isUserAdmin()}`}</p>;
}
