import { isBoolean, isInt32, isInteger, isNull, isString, objectOf, oneOf, type Shape } from '../metadata/shape.ts'
import type {
  BrokerHeartbeat,
  ControllerAnswer,
  ControllerRequest,
  ControllerRequestName,
  HeartbeatAnswer,
} from './controller-requests.ts'
import { isHeartbeat, isRequestName, isRequestOf } from './request-shapes.ts'

/**
 * What nodes say to the active controller over `PeerChannel.CONTROLLER`: a version byte, a byte for the kind, then JSON in UTF-8.
 * Frames are independent of each other; a frame that cannot be read is dropped, and whoever asked meets the end of its time.
 */
export type PeerFrame = RequestFrame | AnswerFrame | HeartbeatFrame | HeartbeatAnswerFrame

/** `id` is the asker's, unused by its other open requests. `timeoutMs`: what is left of the time to begin. */
export interface RequestFrame {
  readonly kind: 'request'
  readonly id: number
  readonly name: ControllerRequestName
  readonly timeoutMs: number
  readonly request: ControllerRequest<ControllerRequestName>
}

export interface AnswerFrame {
  readonly kind: 'answer'
  readonly id: number
  readonly outcome: RequestOutcome
}

/** How a request ended at the node that was asked. */
export type RequestOutcome =
  | { readonly status: 'done'; readonly answer: ControllerAnswer<ControllerRequestName> }
  /** It is not the active controller, or not any more; `mayBeDone` tells whether it had begun. The leader and term as it knows them. */
  | {
      readonly status: 'notController'
      readonly mayBeDone: boolean
      readonly leaderId: number | null
      readonly term: number
    }
  | { readonly status: 'failed'; readonly errorCode: number; readonly message: string }

export interface HeartbeatFrame {
  readonly kind: 'heartbeat'
  readonly heartbeat: BrokerHeartbeat
}

export interface HeartbeatAnswerFrame {
  readonly kind: 'heartbeatAnswer'
  /** Of the heartbeat that is answered. */
  readonly brokerEpoch: number
  readonly answer: HeartbeatAnswer
}

const VERSION = 1
const KINDS = ['request', 'answer', 'heartbeat', 'heartbeatAnswer'] as const
const HEADER_BYTES = 2

/** Largest frame that is sent or read. A request of a client is at most 100 MiB, but none that is forwarded needs so much. */
export const MAX_PEER_FRAME_BYTES = 15 * 1024 * 1024

/** Null: too large to be sent. */
export function encodeFrame(frame: PeerFrame): Buffer | null {
  const { kind, ...body } = frame
  const text = JSON.stringify(body)
  const sizeBytes = HEADER_BYTES + Buffer.byteLength(text)
  if (sizeBytes > MAX_PEER_FRAME_BYTES) return null
  const data = Buffer.allocUnsafe(sizeBytes)
  data.writeUInt8(VERSION, 0)
  data.writeUInt8(KINDS.indexOf(kind), 1)
  data.write(text, HEADER_BYTES)
  return data
}

/** Null for anything that {@link encodeFrame} of this version would not have written. */
export function decodeFrame(data: Buffer): PeerFrame | null {
  if (data.length < HEADER_BYTES || data.length > MAX_PEER_FRAME_BYTES || data[0] !== VERSION) return null
  const kind = KINDS[data[1]!]
  if (kind === undefined) return null
  const body = parseObject(data.subarray(HEADER_BYTES))
  if (body === null || !isBody(kind, body)) return null
  return { kind, ...body } as unknown as PeerFrame
}

interface Body {
  readonly name?: unknown
  readonly request?: unknown
  readonly outcome?: unknown
  readonly heartbeat?: unknown
}

function isBody(kind: PeerFrame['kind'], body: Body): boolean {
  switch (kind) {
    case 'request':
      return REQUEST(body) && isRequestName(body.name) && isRequestOf(body.name, body.request)
    case 'answer':
      return ANSWER(body) && isOutcome(body.outcome)
    case 'heartbeat':
      return isHeartbeat(body.heartbeat) && Object.keys(body).length === 1
    case 'heartbeatAnswer':
      return HEARTBEAT_ANSWER(body)
  }
}

const isAnything: Shape = () => true
const REQUEST = objectOf({ id: isInteger, name: isString, timeoutMs: isInt32, request: isAnything })
const ANSWER = objectOf({ id: isInteger, outcome: isAnything })
const HEARTBEAT_ANSWER = objectOf({
  brokerEpoch: isInteger,
  answer: objectOf({ errorCode: isInt32, isCaughtUp: isBoolean, isFenced: isBoolean, shouldShutDown: isBoolean }),
})
const isNodeId: Shape = (value) => isNull(value) || isInt32(value)
const OUTCOMES = [
  objectOf({ status: oneOf('done'), answer: isAnything }),
  objectOf({ status: oneOf('notController'), mayBeDone: isBoolean, leaderId: isNodeId, term: isInteger }),
  objectOf({ status: oneOf('failed'), errorCode: isInt32, message: isString }),
]
const isOutcome: Shape = (value) => OUTCOMES.some((shape) => shape(value))

function parseObject(text: Buffer): Body | null {
  try {
    const value: unknown = JSON.parse(text.toString())
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null
  } catch {
    // Bytes of a peer that are no JSON are no frame; the caller counts them.
    return null
  }
}
