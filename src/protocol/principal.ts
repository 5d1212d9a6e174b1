// Who a request was found to come from, at the gateway. Used by the gateway's stages and passed on to the function.

export interface Principal {
  /** What told so. */
  kind: 'key' | 'jwt' | 'webhook' | 'certificate' | 'authorizer';
  /** Of the key, the token's `sub`, the certificate's subject… */
  id: string;
  /** The usage plan that it is held to; absent: none. */
  plan?: string;
  scopes: string[];
  /** Whatever else is known of it, as JSON: a token's claims, an authorizer's context. */
  claims: Record<string, unknown>;
}
