"use client";
import { useSession } from "@gateway/client/react";

export function Badge() {
  const { data, isPending, reason } = useSession();
  return <p id="client">{isPending ? "pending" : (data?.user.email ?? reason)}</p>;
}
