// Words of `auth` that the edge needs as well: it takes types alone from policies/, since it does not load zod.

/** No authentication at all, so that a route can differ from the defaults. */
export const NO_AUTH_WORD = 'none';
