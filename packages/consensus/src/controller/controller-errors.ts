import { BaseError } from '@millrace/base'

/**
 * No active controller answered in time, or the one that was asked is gone. `mayBeDone` false: it was certainly not done, and whoever
 * asked may ask again; true: it may be done or not.
 */
export class ControllerUnavailableError extends BaseError {
  readonly mayBeDone: boolean

  constructor(message: string, mayBeDone: boolean) {
    super('CONTROLLER_UNAVAILABLE', message)
    this.mayBeDone = mayBeDone
  }
}

/**
 * The active controller refused a request as a whole. `errorCode` is Kafka's: REQUEST_TIMED_OUT (it was not begun in time; nothing was
 * done), POLICY_VIOLATION (too large), INVALID_REQUEST (malformed), UNKNOWN_SERVER_ERROR (a fault of the controller's, which stepped down).
 */
export class ControllerRequestError extends BaseError {
  readonly errorCode: number

  constructor(errorCode: number, message: string) {
    super('CONTROLLER_REQUEST_FAILED', message)
    this.errorCode = errorCode
  }
}
