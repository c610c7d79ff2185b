/** A wrong command line of `start`; the message is for the user. */
export class UsageError extends Error {}
