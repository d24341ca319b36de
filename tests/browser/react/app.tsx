import { Suspense, lazy, useState } from "react";
import { GatewayError, getToken, logout, refetch } from "@gateway/client";
import { useSession, useTenant } from "@gateway/client/react";

const Late = lazy(() => import("./late"));

/** What a hook said at each render, for the tests. */
export const said: string[] = [];

function Badge({ name }: { name: string }) {
  const { data, isPending, reason, error } = useSession();
  const text = isPending ? "pending" : data ? data.user.email : error ? "unavailable" : reason;
  said.push(`${name} ${text}`);
  return <p id={name}>{text}{data && error ? " (unavailable)" : ""}</p>;
}

function Tenants() {
  const { tenant, tenants, switchTenant } = useTenant();
  const [failure, setFailure] = useState("");
  const change = (id: string | null) =>
    switchTenant(id).catch((error) => setFailure(error instanceof GatewayError ? error.reason : String(error)));
  return (
    <fieldset>
      <legend id="tenant">{tenant?.id ?? "personal"}</legend>
      {tenants?.map(({ id }) => <button key={id} onClick={() => change(id)}>{id}</button>)}
      <button onClick={() => change("t_none")}>t_none</button>
      <output id="failure">{failure}</output>
    </fieldset>
  );
}

function Token() {
  const [claims, setClaims] = useState("");
  const ask = async () => {
    try {
      const [one, two] = await Promise.all([getToken("page"), getToken("page")]);
      setClaims(one === two ? atob(one.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")) : "two tokens");
    } catch (error) {
      setClaims(error instanceof GatewayError ? error.reason : String(error));
    }
  };
  return <button onClick={ask}>Token<output id="token">{claims}</output></button>;
}

export function App() {
  const [shown, setShown] = useState(true);
  return (
    <>
      <Badge name="one" />
      <Badge name="two" />
      {shown && <Badge name="three" />}
      <Tenants />
      <Token />
      <button onClick={() => setShown(!shown)}>Toggle</button>
      <button onClick={() => history.pushState({}, "", "?page=2")}>Navigate</button>
      <button onClick={() => void refetch()}>Refetch</button>
      <button onClick={() => void logout()}>Sign out</button>
      <Suspense fallback={<p id="late">waiting</p>}><Late /></Suspense>
    </>
  );
}
