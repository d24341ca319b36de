import { useSession } from "@gateway/client/react";

export default function Late() {
  const { data, isPending, reason } = useSession();
  return <p id="late">{isPending ? "pending" : (data?.user.email ?? reason)}</p>;
}
