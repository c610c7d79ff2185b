/** Whether trying again may help: every error class of this package and `ProtocolError` says so itself; anything else may not. */
export function isRetriable(error: unknown): boolean {
  return error instanceof Error && 'retriable' in error && error.retriable === true
}
