// Which region and which account functions see in Virga, where AWS has real ones. Used by the readers of AWS's formats.
export const REGION = 'us-east-1';
export const ACCOUNT = '000000000000';
