/** What is wrong with the command line itself: shown as one line, exit code 2. */
export class UsageError extends Error {}
