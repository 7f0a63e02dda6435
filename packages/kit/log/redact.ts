const secrets: readonly [RegExp, string][] = [
  [/sgn_[A-Za-z0-9_-]{8,}/g, 'sgn_[hidden]'],
  [/\bBearer\s+[^\s"',}]+/gi, 'Bearer [hidden]'],
  [/\bsk-[A-Za-z0-9_-]{8,}/g, 'sk-[hidden]'],
  [/([a-z]{2,}:\/\/[^:/\s"@]*:)[^@\s"]+@/gi, '$1[hidden]@'],
  [/\b(\w*(?:key|token|secret|password)=|[\w-]*(?:api[-_]?key|password):\s*)[^\s"',}&]+/gi, '$1[hidden]'],
];

/** Hides whatever looks like a key, a token or a password in a text. */
export function redact(text: string): string {
  let clean = text;
  for (const [pattern, replacement] of secrets) clean = clean.replace(pattern, replacement);
  return clean;
}
