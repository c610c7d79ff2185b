import { assert } from '@millrace/base'
import type { ReplyToken } from '../runtime/step.ts'
import { EMPTY_BYTES } from './group-protocol.ts'
import type { MemberProtocol } from './member-protocol.ts'

/** What is known of a member when it joins. */
export interface ClassicMemberInit {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly rebalanceTimeoutMs: number
  readonly sessionTimeoutMs: number
  readonly protocolType: string
  readonly protocols: readonly MemberProtocol[]
  readonly assignment: Buffer
  /** Whose share of the node's members it takes (`group-usage.ts`); null: nobody's. */
  readonly owner: string | null
}

/** A member of a classic group. Changed by its group only, which keeps counts over all members. */
export class ClassicMember {
  readonly memberId: string
  /** Not null: a static member (KIP-345). */
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly protocolType: string
  rebalanceTimeoutMs: number
  sessionTimeoutMs: number
  protocols: readonly MemberProtocol[]
  assignment: Buffer
  readonly owner: string | null
  /** The JoinGroup request that waits for the rebalance, or null. */
  joinToken: ReplyToken | null = null
  /** The SyncGroup request that waits for the assignment, or null. */
  syncToken: ReplyToken | null = null
  /** Joined, but has not been told its generation yet: it cannot know its member id, so it cannot send heartbeats. */
  isNew = false

  constructor(init: ClassicMemberInit) {
    this.memberId = init.memberId
    this.groupInstanceId = init.groupInstanceId
    this.clientId = init.clientId
    this.clientHost = init.clientHost
    this.protocolType = init.protocolType
    this.rebalanceTimeoutMs = init.rebalanceTimeoutMs
    this.sessionTimeoutMs = init.sessionTimeoutMs
    this.protocols = init.protocols
    this.assignment = init.assignment
    this.owner = init.owner
  }

  get isStatic(): boolean {
    return this.groupInstanceId !== null
  }

  get isAwaitingJoin(): boolean {
    return this.joinToken !== null
  }

  /** Whether an expired session is to be ignored: a parked request shows that the member lives, unless it is new. */
  get hasSatisfiedHeartbeat(): boolean {
    return !this.isNew && (this.joinToken !== null || this.syncToken !== null)
  }

  /** What the client has the group keep: its names, metadata of all protocols, and the assignment. */
  get keptBytes(): number {
    const { memberId, clientId, clientHost, groupInstanceId, protocols, assignment } = this
    const names = memberId.length + clientId.length + clientHost.length + (groupInstanceId?.length ?? 0)
    return names + metadataBytesOf(protocols) + assignment.length
  }

  /** The member's metadata for a protocol; empty for null, which only a group without members has. */
  metadataFor(protocolName: string | null): Buffer {
    if (protocolName === null) return EMPTY_BYTES
    const protocol = this.protocols.find((candidate) => candidate.name === protocolName)
    assert(protocol !== undefined, 'member does not support the chosen protocol')
    return protocol.metadata
  }

  /** The same protocols, in the same order, with the same metadata. */
  matches(protocols: readonly MemberProtocol[]): boolean {
    if (protocols.length !== this.protocols.length) return false
    return protocols.every((protocol, slot) => {
      const own = this.protocols[slot]!
      return protocol.name === own.name && protocol.metadata.equals(own.metadata)
    })
  }

  /** The first of the member's protocols that is a candidate. */
  vote(candidates: ReadonlySet<string>): string {
    const protocol = this.protocols.find((candidate) => candidates.has(candidate.name))
    assert(protocol !== undefined, 'member supports none of the candidate protocols')
    return protocol.name
  }
}

/** About what a protocol takes besides its name and metadata, which may both be empty: two objects. A few belong to any member. */
const PROTOCOL_BYTES = 192
const FEW_PROTOCOLS = 2

/** Of what a member brings. The group counts the names anew. */
export function metadataBytesOf(protocols: readonly MemberProtocol[]): number {
  let bytes = Math.max(0, protocols.length - FEW_PROTOCOLS) * PROTOCOL_BYTES
  for (const { name, metadata } of protocols) bytes += metadata.length + 2 * name.length
  return bytes
}
