import { BaseError } from '@millrace/base'
import { errorInfo } from '@millrace/protocol'

/** Where an answer's error belongs. */
export interface ProtocolErrorPlace {
  topic?: string
  partition?: number
  /** What it is about, where that is no topic: "group billing". */
  subject?: string
  /** The broker's own words, which may say more than the code. */
  message?: string | null
}

/**
 * An error that a broker answered. `code` is Kafka's name (`NOT_LEADER_OR_FOLLOWER`), `errorCode` its number as received.
 * A number that this version does not know becomes `UNKNOWN_SERVER_ERROR`, not retriable, with the number kept.
 */
export class ProtocolError extends BaseError {
  readonly errorCode: number
  readonly retriable: boolean
  readonly topic: string | null
  readonly partition: number | null

  constructor(errorCode: number, place: ProtocolErrorPlace = {}) {
    const info = errorInfo(errorCode)
    const where = placeText(place)
    super(info.name, `${where}${place.message || info.description} (${info.name})`)
    this.errorCode = errorCode
    this.retriable = info.retriable
    this.topic = place.topic ?? null
    this.partition = place.partition ?? null
  }
}

function placeText({ topic, partition, subject }: ProtocolErrorPlace): string {
  if (topic !== undefined) return `${topic}${partition === undefined ? '' : `-${partition}`}: `
  return subject === undefined ? '' : `${subject}: `
}

/** Throws {@link ProtocolError} unless `errorCode` is 0. */
export function throwIfError(errorCode: number, place?: ProtocolErrorPlace): void {
  if (errorCode !== 0) throw new ProtocolError(errorCode, place)
}
