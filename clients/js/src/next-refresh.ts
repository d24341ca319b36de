"use client";
import { useRouter } from "next/navigation";
import { useEffect } from "react";
import { onSessionChange } from "./index.js";
import type { SessionState } from "./types.js";

/** Renders the server components again when another session, tenant or role is active. */
export function Refresh(): null {
  const { refresh } = useRouter();
  useEffect(
    () =>
      onSessionChange((now, before) => {
        if (!before.isPending && keyOf(now) !== keyOf(before)) refresh();
      }),
    [refresh],
  );
  return null;
}

function keyOf({ data }: SessionState): string {
  return data ? JSON.stringify([data.id, data.user.id, data.tenant, data.user.roles]) : "";
}
