const AFTER_MS = 1_000;
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/** Shows on a terminal that something goes on, from the second second on; the line is gone when it has ended. */
export async function withProgress<T>(stream: NodeJS.WriteStream, what: string, work: () => Promise<T>): Promise<T> {
  if (stream.isTTY !== true) return work();
  const begun = performance.now();
  let shown = 0;
  const timer = setInterval(() => {
    const forMs = performance.now() - begun;
    if (forMs < AFTER_MS) return;
    stream.write(`\r${FRAMES[shown++ % FRAMES.length]} ${what} … ${Math.round(forMs / 1000)} s\u001b[K`);
  }, 100);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    if (shown > 0) stream.write('\r\u001b[K');
  }
}
