import { ErrorCode } from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { ProtocolError, type ProtocolErrorPlace } from '../errors/protocol-error.ts'
import type { Api, RequestMessage } from '../network/api.ts'
import type { Answer, RequestOptions } from '../network/connection.ts'

/** One of several things that a call was about: done when `error` is null. Calls about several things do not reject for some of them. */
export type Outcome<T> = T & { error: ProtocolError | null }

/** The error of a code, null for none. */
export function errorOf(errorCode: number, place: ProtocolErrorPlace = {}): ProtocolError | null {
  return errorCode === ErrorCode.NONE ? null : new ProtocolError(errorCode, place)
}

/** Common options of admin calls. */
export interface AdminCallOptions {
  /** Left out: `defaultApiTimeoutMs`. */
  timeoutMs?: number
}

/** The call's limit. */
export function limitOf(core: ClientCore, options: AdminCallOptions): number {
  return options.timeoutMs ?? core.options.defaultApiTimeoutMs
}

/**
 * A request to the controller (to any broker where metadata names none), tried again while connections fail, the controller moves, or
 * `errorCodes` of the answer say that another try may help.
 */
export async function askController<Request extends object, Response>(
  core: ClientCore,
  what: string,
  api: Api<Request, Response>,
  message: RequestMessage<Request>,
  timeoutMs: number,
  errorCodes: (response: Response) => Iterable<number>,
  options: Partial<RequestOptions> = {},
): Promise<Response> {
  return core.retrying(what, timeoutMs, async (leftMs) => {
    await core.ensureMetadata(leftMs)
    const { controllerId } = core.metadata.view
    const limits = { ...options, timeoutMs: Math.min(leftMs, core.options.requestTimeoutMs) }
    const { response }: Answer<Response> =
      controllerId === -1
        ? await core.requestAny(api, message, limits)
        : await core.requestNode(controllerId, 'main', api, message, limits)
    for (const errorCode of errorCodes(response)) {
      if (errorCode !== ErrorCode.NOT_CONTROLLER) continue
      await core.metadata.update()
      throw new ProtocolError(errorCode)
    }
    return response
  })
}

/** A request that any broker answers, tried again while connections fail or the answer's own error may pass. */
export async function askAnyBroker<Request extends object, Response>(
  core: ClientCore,
  what: string,
  api: Api<Request, Response>,
  message: RequestMessage<Request>,
  timeoutMs: number,
  topErrorCode: (response: Response) => number,
  options: Partial<RequestOptions> = {},
): Promise<Answer<Response>> {
  return core.retrying(what, timeoutMs, async (leftMs) => {
    const limits = { ...options, timeoutMs: Math.min(leftMs, core.options.requestTimeoutMs) }
    const answer = await core.requestAny(api, message, limits)
    const errorCode = topErrorCode(answer.response)
    if (errorCode !== ErrorCode.NONE) throw new ProtocolError(errorCode, { subject: what })
    return answer
  })
}
