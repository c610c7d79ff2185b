import type { Uuid } from '@millrace/base'
import * as fc from 'fast-check'
import { CHAIN_BYTES, FIRST_CHAIN } from '../chain.ts'
import { MAX_NUMBER } from '../message-check.ts'
import type { Entry, EntryKind, Message, ReplicaKey, VoterSet } from '../types.ts'
import { encodeVoters } from '../voter-set.ts'

const id = fc.nat({ max: 0x7fffffff })
const uuid = bytes(16).map((value) => {
  value[15] = value[15]! | 1 // Sixteen zeros stand for "any directory" in an envelope.
  return value.toString('base64url') as Uuid
})
const replica: fc.Arbitrary<ReplicaKey> = fc.record({ id, directoryId: uuid })
const number = fc.oneof(fc.nat({ max: 10 }), fc.integer({ min: 1, max: MAX_NUMBER }))

export const arbitraryVoters: fc.Arbitrary<VoterSet> = fc
  .uniqueArray(
    fc.record({
      id,
      directoryId: uuid,
      host: fc.string({ unit: 'grapheme', maxLength: 12 }),
      port: fc.nat({ max: 0xffff }),
    }),
    { selector: (voter) => voter.id, maxLength: 7 },
  )
  .map((voters) => voters.sort((left, right) => left.id - right.id))

function bytes(sizeBytes: number): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ minLength: sizeBytes, maxLength: sizeBytes }).map((value) => Buffer.from(value))
}

const data = fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value))
const chain = bytes(CHAIN_BYTES)

interface Draft {
  readonly kind: EntryKind
  readonly data: Buffer
  readonly chain: Buffer
  readonly termStep: number
}

const draft: fc.Arbitrary<Draft> = fc
  .record({
    content: fc.oneof(
      fc.constant({ kind: 'empty' as const, data: Buffer.alloc(0) }),
      data.map((value) => ({ kind: 'command' as const, data: value })),
      arbitraryVoters.map((voters) => ({ kind: 'voters' as const, data: encodeVoters(voters) })),
    ),
    chain,
    termStep: fc.nat({ max: 3 }),
  })
  .map(({ content, ...rest }) => ({ ...content, ...rest }))

const append = fc
  .record({
    previousIndex: fc.nat({ max: 1e9 }),
    previousTerm: fc.integer({ min: 1, max: 1e9 }),
    previousChain: chain,
    drafts: fc.array(draft, { maxLength: 5 }),
    commitIndex: number,
    readRound: number,
    laterTerms: fc.nat({ max: 5 }),
  })
  .map(({ previousIndex, previousChain, drafts, commitIndex, readRound, laterTerms, ...rest }) => {
    const previousTerm = previousIndex === 0 ? 0 : rest.previousTerm
    let term = previousTerm
    const entries: Entry[] = drafts.map(({ kind, data, chain, termStep }, slot) => {
      term = Math.max(1, term + termStep)
      return { index: previousIndex + 1 + slot, term, kind, data, chain }
    })
    return {
      type: 'append' as const,
      previousIndex,
      previousTerm,
      previousChain: previousIndex === 0 ? FIRST_CHAIN : previousChain,
      entries,
      commitIndex,
      readRound,
      term: term + laterTerms,
    }
  })

const chunk = fc
  .record({
    index: fc.integer({ min: 1, max: 1e9 }),
    snapshotTerm: fc.integer({ min: 1, max: 1e9 }),
    chain,
    voters: arbitraryVoters,
    data,
    offset: fc.nat({ max: 1e9 }),
    rest: fc.nat({ max: 1e9 }),
    laterTerms: fc.nat({ max: 5 }),
    votersBefore: fc.nat({ max: 10 }),
  })
  .map(({ index, snapshotTerm, chain, voters, data, offset, rest, laterTerms, votersBefore }) => ({
    type: 'snapshotChunk' as const,
    snapshot: { index, term: snapshotTerm, chain, voters, votersIndex: Math.max(0, index - votersBefore) },
    sizeBytes: offset + data.length + rest,
    offset,
    data,
    term: snapshotTerm + laterTerms,
  }))

const body = fc.oneof(
  append,
  chunk,
  fc
    .record({ preVote: fc.boolean(), lastIndex: number, lastTerm: fc.nat(), transfer: fc.boolean(), later: fc.nat() })
    .map(({ later, ...rest }) => ({ type: 'voteRequest' as const, ...rest, term: rest.lastTerm + later })),
  fc.record({ type: fc.constant('voteReply' as const), preVote: fc.boolean(), granted: fc.boolean(), term: number }),
  fc.record({
    type: fc.constant('appendReply' as const),
    success: fc.boolean(),
    index: number,
    hintIndex: number,
    hintTerm: number,
    readRound: number,
    term: number,
  }),
  fc.record({ type: fc.constant('heartbeat' as const), commitIndex: number, readRound: number, term: number }),
  fc.record({ type: fc.constant('heartbeatReply' as const), readRound: number, lastIndex: number, term: number }),
  fc.record({
    type: fc.constant('snapshotReply' as const),
    snapshotIndex: number,
    nextOffset: fc.oneof(fc.constant(-1), number),
    term: number,
  }),
  fc.record({ type: fc.constant('timeoutNow' as const), term: number }),
  fc.record({ type: fc.constant('leaderHint' as const), leader: replica, voters: arbitraryVoters, term: number }),
)

/** Any message that is valid on its own; chains are noise. */
export const arbitraryMessage: fc.Arbitrary<Message> = fc
  .record({ body, from: replica, toId: id, toDirectory: fc.option(uuid) })
  .map(({ body, from, toId, toDirectory }) => ({ ...body, from, to: { id: toId, directoryId: toDirectory } }))
