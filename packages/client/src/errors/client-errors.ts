import { BaseError } from '@millrace/base'

/** The connection to a broker could not be made or broke. What was in flight has an unknown outcome. Always retriable. */
export class ConnectionError extends BaseError {
  readonly host: string
  readonly port: number
  readonly retriable = true

  constructor(code: ConnectionErrorCode, host: string, port: number, message: string, options?: { cause?: unknown }) {
    super(code, `${message} (${host}:${port})`, options)
    this.host = host
    this.port = port
  }
}

/**
 * `CONNECTION_FAILED`: never opened; `CONNECTION_CLOSED`: the other side or the network ended it; `CONNECTION_TIMED_OUT`: no
 * answer in time; `CONNECTION_PROTOCOL`: bytes that are no answer to what was asked.
 */
export type ConnectionErrorCode =
  | 'CONNECTION_FAILED'
  | 'CONNECTION_CLOSED'
  | 'CONNECTION_TIMED_OUT'
  | 'CONNECTION_PROTOCOL'

/** A call did not end within its limit. `cause` is the last error that was retried, if any. The outcome may be unknown. */
export class TimeoutError extends BaseError {
  readonly timeoutMs: number
  readonly retriable = true

  constructor(message: string, timeoutMs: number, options?: { cause?: unknown }) {
    super('TIMEOUT', message, options)
    this.timeoutMs = timeoutMs
  }
}

/** The producer, consumer or admin client was closed before or during the call. */
export class ClientClosedError extends BaseError {
  readonly retriable = false

  constructor(what: string) {
    super('CLIENT_CLOSED', `${what} is closed`)
  }
}

/** The broker serves no version of an API (or of a field) that this call needs. */
export class UnsupportedVersionError extends BaseError {
  readonly apiName: string
  readonly retriable = false

  constructor(apiName: string, message: string) {
    super('UNSUPPORTED_VERSION', `${apiName}: ${message}`)
    this.apiName = apiName
  }
}

/** A record is larger than `maxRequestSize` or `bufferMemory` and can never be sent. */
export class RecordTooLargeError extends BaseError {
  readonly sizeBytes: number
  readonly limitBytes: number
  readonly retriable = false

  constructor(sizeBytes: number, limitBytes: number, setting: string) {
    super('RECORD_TOO_LARGE', `record of ${sizeBytes} bytes is larger than ${setting} (${limitBytes} bytes)`)
    this.sizeBytes = sizeBytes
    this.limitBytes = limitBytes
  }
}

/** A call that does not fit the state of the object, for example `poll` while another `poll` is waiting. */
export class StateError extends BaseError {
  readonly retriable = false

  constructor(message: string) {
    super('ILLEGAL_STATE', message)
  }
}

/** An argument that no broker could accept. `argument` names it. */
export class ArgumentError extends BaseError {
  readonly argument: string
  /** What is wrong with it: the message without the argument's name. */
  readonly reason: string
  readonly retriable = false

  constructor(argument: string, reason: string) {
    super('INVALID_ARGUMENT', `${argument}: ${reason}`)
    this.argument = argument
    this.reason = reason
  }
}

/** No committed offset and `autoOffsetReset` is `none`, or the position lies outside the log. */
export class NoOffsetError extends BaseError {
  readonly topic: string
  readonly partition: number
  readonly retriable = false

  constructor(topic: string, partition: number, message: string) {
    super('NO_OFFSET', `${topic}-${partition}: ${message}`)
    this.topic = topic
    this.partition = partition
  }
}

/** The log was truncated below the position (unclean election) and `autoOffsetReset` is `none`: records read before are gone. */
export class LogTruncationError extends BaseError {
  readonly topic: string
  readonly partition: number
  /** Where the logs agree, or -1 if the broker cannot tell. */
  readonly divergentOffset: bigint
  readonly retriable = false

  constructor(topic: string, partition: number, position: bigint, divergentOffset: bigint) {
    super(
      'LOG_TRUNCATED',
      `${topic}-${partition}: the log was truncated below position ${position}; it agrees with what was read up to offset ${divergentOffset}`,
    )
    this.topic = topic
    this.partition = partition
    this.divergentOffset = divergentOffset
  }
}
