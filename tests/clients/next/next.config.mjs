// As create-next-app sets it.
export default { cacheComponents: true };
