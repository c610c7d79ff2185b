/** What is known of an error code. */
export interface ErrorInfo {
  readonly name: string
  readonly code: number
  /** The same request may succeed later. */
  readonly retriable: boolean
  /** The client's metadata is out of date: refresh it before trying again. */
  readonly refreshMetadata: boolean
  /** One sentence for people. */
  readonly description: string
}
