const tokensMax = 65_536;

/**
 * True for a reply with so many lines, brackets, commas and escapes that reading it would hold up everything else for longer than about
 * 50 ms. Length alone does not make it so. Looks at each character once at most.
 */
export function isCostly(reply: string): boolean {
  if (reply.length <= tokensMax) return false;
  let tokens = 0;
  for (let at = 0; at < reply.length; at += 1) {
    const code = reply.charCodeAt(at);
    if (code > 0x7d ? code === 0x85 || code === 0x2028 || code === 0x2029 : heavy[code] === 1) tokens += 1;
    if (tokens > tokensMax) return true;
  }
  return false;
}

// Every control character, quotes, and what gives JSON and Python literals their structure.
const heavy = new Uint8Array(0x7e).fill(1, 0, 0x20);
for (const character of '"\'()*,:[\\]{}') heavy[character.charCodeAt(0)] = 1;
