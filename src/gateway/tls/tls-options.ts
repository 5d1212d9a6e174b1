// What TLS is spoken: 1.2 and 1.3, forward secrecy and authenticated encryption only; the client, who knows whether it has
// AES in hardware, chooses among them. For every certificate the same. Used by doors.ts and identities.ts.
import { constants } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';

export const TLS_OPTIONS = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
  ].join(':'),
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
  sessionIdContext: 'virga',
} as const satisfies SecureContextOptions;
