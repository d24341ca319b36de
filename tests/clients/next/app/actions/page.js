import { protectedRoute } from "@gateway/client/next";

async function save() {
  "use server";
  await protectedRoute();
}

export default function Page() {
  return <form action={save}><button>Save</button></form>;
}
