import type { Uuid } from '@millrace/base'

/** Epochs of requests that open and close a session. */
export const INITIAL_SHARE_EPOCH = 0
export const FINAL_SHARE_EPOCH = -1
const MAX_EPOCH = 2_147_483_647

/** A partition that a member fetches. */
export interface SessionPartition {
  readonly topicId: Uuid
  readonly partition: number
  /** The next answer names it, whatever there is to say. */
  isNew: boolean
}

/** What a member of a share group fetches from this broker, so that its requests need not say it again (KIP-932). */
export class ShareSession {
  readonly groupId: string
  readonly memberId: string
  /** Over which it was opened: its end is the session's. */
  readonly connectionId: number
  /** Of the next request. */
  nextEpoch = 1
  readonly partitions = new Map<string, SessionPartition>()
  /** Waits for records. */
  waiting: { endEarly(): void } | null = null

  constructor(groupId: string, memberId: string, connectionId: number) {
    this.groupId = groupId
    this.memberId = memberId
    this.connectionId = connectionId
  }

  advance(): void {
    this.nextEpoch = this.nextEpoch === MAX_EPOCH ? 1 : this.nextEpoch + 1
  }

  /** In another order with each request, so that none is always the last to be read. */
  rotated(): SessionPartition[] {
    const all = [...this.partitions.values()]
    const start = all.length === 0 ? 0 : this.nextEpoch % all.length
    return [...all.slice(start), ...all.slice(0, start)]
  }
}

/** Tells of groups whose first session begins, or whose last one ends. */
export type OnAttended = (groupId: string, isAttended: boolean) => void

/** The share sessions of a broker: bounded in number (`group.share.max.share.sessions`) and in the partitions of all of them. */
export class ShareSessions {
  readonly maxSessions: number
  readonly maxPartitions: number
  readonly #onAttended: OnAttended
  readonly #sessions = new Map<string, ShareSession>()
  readonly #byConnection = new Map<number, Set<ShareSession>>()
  readonly #countByGroup = new Map<string, number>()
  #partitionCount = 0

  constructor(maxSessions: number, maxPartitions: number, onAttended: OnAttended) {
    this.maxSessions = maxSessions
    this.maxPartitions = maxPartitions
    this.#onAttended = onAttended
  }

  get size(): number {
    return this.#sessions.size
  }

  get partitionCount(): number {
    return this.#partitionCount
  }

  get(groupId: string, memberId: string): ShareSession | undefined {
    return this.#sessions.get(sessionKey(groupId, memberId))
  }

  /** A new session in place of one that the member may have had; null: there is no room. */
  open(groupId: string, memberId: string, connectionId: number): ShareSession | null {
    const old = this.get(groupId, memberId)
    if (old === undefined && this.#sessions.size >= this.maxSessions) return null
    const session = new ShareSession(groupId, memberId, connectionId)
    this.#sessions.set(sessionKey(groupId, memberId), session)
    const ofConnection = this.#byConnection.get(connectionId)
    if (ofConnection === undefined) this.#byConnection.set(connectionId, new Set([session]))
    else ofConnection.add(session)
    const count = this.#countByGroup.get(groupId) ?? 0
    this.#countByGroup.set(groupId, count + 1)
    if (count === 0) this.#onAttended(groupId, true)
    if (old !== undefined) this.#forget(old)
    return session
  }

  /** Adds a partition. False: there is no room for it. */
  add(session: ShareSession, topicId: Uuid, partition: number): boolean {
    const key = `${topicId}:${partition}`
    if (session.partitions.has(key)) return true
    if (this.#partitionCount >= this.maxPartitions) return false
    session.partitions.set(key, { topicId, partition, isNew: true })
    this.#partitionCount++
    return true
  }

  forgetPartition(session: ShareSession, topicId: Uuid, partition: number): void {
    if (session.partitions.delete(`${topicId}:${partition}`)) this.#partitionCount--
  }

  /** Ends a session, unless another one has taken its place. */
  close(session: ShareSession): boolean {
    const key = sessionKey(session.groupId, session.memberId)
    if (this.#sessions.get(key) !== session) return false
    this.#sessions.delete(key)
    this.#forget(session)
    return true
  }

  /** Those that were opened over a connection. */
  ofConnection(connectionId: number): ShareSession[] {
    return [...(this.#byConnection.get(connectionId) ?? [])]
  }

  #forget(session: ShareSession): void {
    this.#partitionCount -= session.partitions.size
    const ofConnection = this.#byConnection.get(session.connectionId)
    if (ofConnection?.delete(session) === true && ofConnection.size === 0)
      this.#byConnection.delete(session.connectionId)
    const { groupId } = session
    const count = this.#countByGroup.get(groupId)! - 1
    if (count > 0) {
      this.#countByGroup.set(groupId, count)
      return
    }
    this.#countByGroup.delete(groupId)
    this.#onAttended(groupId, false)
  }
}

/** A member id holds no slash that could be taken for this one: lengths come first. */
function sessionKey(groupId: string, memberId: string): string {
  return `${groupId.length}/${groupId}/${memberId}`
}
