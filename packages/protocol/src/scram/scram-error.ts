import { BaseError } from '@millrace/base'

/**
 * `SCRAM_MALFORMED`: a message does not parse or breaks the exchange's rules; `SCRAM_CREDENTIALS_INVALID`: unknown user or wrong
 * password, on purpose not told apart; `SCRAM_SERVER_INVALID`: the server did not prove that it knows the credentials, or reports an error.
 */
export type ScramErrorCode = 'SCRAM_MALFORMED' | 'SCRAM_CREDENTIALS_INVALID' | 'SCRAM_SERVER_INVALID'

/** A failed SCRAM exchange. Messages name no secrets and may be sent to the other side. */
export class ScramError extends BaseError {
  declare readonly code: ScramErrorCode

  constructor(code: ScramErrorCode, message: string) {
    super(code, message)
  }
}
