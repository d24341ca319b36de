/* What this package uses of Next.js, so that it builds without it. */
declare module "next/headers" {
  export function headers(): Promise<Headers>;
}
declare module "next/navigation" {
  export function redirect(url: string): never;
  export function useRouter(): { refresh(): void };
}
