import type { Uuid } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { FINAL_SHARE_EPOCH, INITIAL_SHARE_EPOCH, type ShareSession, ShareSessions } from './fetch/share-session.ts'
import type { SharePartitions } from './share-partitions.ts'

/** A session to work with, or why there is none. */
export type FoundSession = { readonly session: ShareSession } | { readonly errorCode: number }

export interface SessionLimits {
  readonly maxSessions: number
  readonly maxPartitions: number
}

/** The share sessions of members, and what follows from their beginning and end for share partitions (`coordinators.md`, 4.4). */
export class ShareMemberSessions {
  readonly sessions: ShareSessions
  readonly #shares: SharePartitions

  constructor(limits: SessionLimits, shares: SharePartitions) {
    this.#shares = shares
    this.sessions = new ShareSessions(limits.maxSessions, limits.maxPartitions, (groupId, isAttended) =>
      shares.setAttended(groupId, isAttended),
    )
  }

  /** The session of a request with this epoch; ShareFetch may open one. What the member held before it still holds. */
  find(groupId: string, memberId: string, epoch: number, connectionId: number, mayOpen: boolean): FoundSession {
    if (epoch === INITIAL_SHARE_EPOCH) {
      if (!mayOpen) return { errorCode: ErrorCode.INVALID_SHARE_SESSION_EPOCH }
      const old = this.sessions.get(groupId, memberId)
      const session = this.sessions.open(groupId, memberId, connectionId)
      if (session === null) return { errorCode: ErrorCode.SHARE_SESSION_LIMIT_REACHED }
      old?.waiting?.endEarly()
      return { session }
    }
    const session = this.sessions.get(groupId, memberId)
    if (session === undefined) return { errorCode: ErrorCode.SHARE_SESSION_NOT_FOUND }
    if (epoch === FINAL_SHARE_EPOCH) return { session }
    if (epoch !== session.nextEpoch) return { errorCode: ErrorCode.INVALID_SHARE_SESSION_EPOCH }
    session.advance()
    return { session }
  }

  /**
   * Adds and removes partitions. What is named as both goes: it is named as added since a member that gives it up acknowledges records of it, and
   * would throw away what it were given of it from now on. False: there is no room for all of them.
   */
  change(session: ShareSession, added: readonly SharePlace[], forgotten: readonly SharePlace[]): boolean {
    for (const { topicId, partition } of forgotten) this.sessions.forgetPartition(session, topicId, partition)
    const gone = new Set(forgotten.map(placeText))
    let hasRoom = true
    for (const place of added) {
      if (gone.has(placeText(place))) continue
      hasRoom = this.sessions.add(session, place.topicId, place.partition) && hasRoom
    }
    return hasRoom
  }

  /** The member is done: what it holds may go to others. */
  end(session: ShareSession): void {
    if (!this.sessions.close(session)) return
    session.waiting?.endEarly()
    const { groupId, memberId } = session
    for (const { topicId, partition } of session.partitions.values()) {
      this.#shares.known(groupId, topicId, partition)?.release(memberId)
    }
  }

  /** Members that used the connection are gone, unless they have come back over another one. */
  onConnectionClosed(connectionId: number): void {
    for (const session of this.sessions.ofConnection(connectionId)) this.end(session)
  }
}

export interface SharePlace {
  readonly topicId: Uuid
  readonly partition: number
}

function placeText({ topicId, partition }: SharePlace): string {
  return `${topicId}:${partition}`
}
