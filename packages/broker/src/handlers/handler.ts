import type { Reader, Writer } from '@millrace/protocol'
import type { NextTurn } from './next-turn.ts'

/** Who sent a request, over what. One object per connection, shared by all of its requests. */
export interface ConnectionContext {
  readonly connectionId: number
  /** Textual address without port. */
  readonly clientAddress: string
  readonly clientPort: number
  /** Name of the listener that accepted the connection; answers give the endpoints of the same listener. */
  readonly listener: string
  readonly principal: string
  /** The broker that the peer has proved to be (`broker-proofs.ts`); -1: a client, or a broker that has not yet. */
  brokerId: number
  /** From ApiVersions v3+ (KIP-511), empty before. */
  clientSoftwareName: string
  clientSoftwareVersion: string
}

/** One request. Valid until its answer is given; the request's buffers are reused afterwards, so whoever keeps bytes copies them. */
export interface RequestContext {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  /** Null and absent become the empty string, as in Kafka. */
  readonly clientId: string
  readonly connection: ConnectionContext
  /** Registers what to do if the client goes away before the answer: stop waiting, free what is held. At most one; at once if it has gone. */
  onAbandoned(callback: () => void): void
  /** The answer holds so many bytes of the answers' budget (`network/answer-budget.ts`), which go back to it once it is sent. */
  holdAnswerBytes(sizeBytes: number): void
  /** For long answers, before each slice: a later turn, when those in the making leave room (`network/answers-in-making.ts`). */
  nextSlice(nextTurn: NextTurn): Promise<void>
  /** A long answer has so many elements more: partitions, settings, members. Until it is encoded they count as memory. */
  growAnswer(elementCount: number): void
}

/**
 * Answers one API. Expected failures are error codes inside the response. A handler that throws or rejects is answered by
 * `onError` of the network layer: UNKNOWN_SERVER_ERROR where the schema has a place for it, else the connection closes.
 */
export interface ApiHandler<Request = unknown, Response = unknown> {
  readonly apiKey: number
  readonly minVersion: number
  readonly maxVersion: number
  /** Throws `MalformedMessageError` on bad bytes. */
  decodeRequest(reader: Reader, version: number): Request
  encodeResponse(writer: Writer, response: Response, version: number): void
  /** Null: no answer at all (Produce with acks 0). Requests of one connection are answered in order, whatever the promise order. */
  handle(request: Request, context: RequestContext): Response | null | Promise<Response | null>
}
