import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { idOf } from '../testing/cluster.ts'
import { decodeFrame, encodeFrame, MAX_PEER_FRAME_BYTES, type PeerFrame } from './peer-protocol.ts'

const heartbeat = {
  brokerId: 1,
  brokerEpoch: 2 ** 40,
  incarnationId: idOf(1),
  appliedOffset: 3,
  wantFence: false,
  wantShutDown: true,
  offlineDirectories: [idOf(2)],
}
const frames: PeerFrame[] = [
  { kind: 'request', id: 1, name: 'readBarrier', timeoutMs: 100, request: {} },
  {
    kind: 'request',
    id: 2,
    name: 'createTopics',
    timeoutMs: 0,
    request: {
      validateOnly: true,
      topics: [
        {
          name: 'ü',
          numPartitions: -1,
          replicationFactor: 3,
          assignments: [{ partitionIndex: 0, brokerIds: [1] }],
          configs: [{ name: 'a', value: null }],
        },
      ],
    },
  },
  {
    kind: 'request',
    id: 7,
    name: 'deleteAcls',
    timeoutMs: 5,
    request: {
      filters: [
        {
          resourceType: 1,
          resourceName: null,
          patternType: 2,
          principal: 'User:ü',
          host: null,
          operation: 1,
          permissionType: 1,
        },
      ],
    },
  },
  { kind: 'answer', id: 3, outcome: { status: 'done', answer: { offset: 5 } } },
  { kind: 'answer', id: 4, outcome: { status: 'done', answer: null } },
  { kind: 'answer', id: 5, outcome: { status: 'notController', mayBeDone: true, leaderId: null, term: 9 } },
  { kind: 'answer', id: 6, outcome: { status: 'failed', errorCode: -1, message: 'x' } },
  { kind: 'heartbeat', heartbeat },
  {
    kind: 'heartbeatAnswer',
    brokerEpoch: 7,
    answer: { errorCode: 0, isCaughtUp: true, isFenced: false, shouldShutDown: false },
  },
]

describe('frames', () => {
  test('come back as they were', () => {
    for (const frame of frames) expect(decodeFrame(encodeFrame(frame)!)).toEqual(frame)
  })

  test('that are too large are not made, nor read', () => {
    const message = 'x'.repeat(MAX_PEER_FRAME_BYTES)
    expect(encodeFrame({ kind: 'answer', id: 1, outcome: { status: 'failed', errorCode: 0, message } })).toBe(null)
    expect(decodeFrame(Buffer.alloc(MAX_PEER_FRAME_BYTES + 1, 1))).toBe(null)
  })

  test('of another version or kind, or with a body of another form, are none', () => {
    const good = encodeFrame(frames[0]!)!
    const changed = (position: number, value: number) => {
      const copy = Buffer.from(good)
      copy[position] = value
      return decodeFrame(copy)
    }
    expect(changed(0, 2)).toBe(null)
    expect(changed(1, 9)).toBe(null)
    const bodies: [number, unknown][] = [
      [0, { id: 1, name: 'dropEverything', timeoutMs: 1, request: {} }],
      [0, { id: 1, name: 'toString', timeoutMs: 1, request: {} }],
      [0, { id: 1, name: 'readBarrier', timeoutMs: 1, request: [] }],
      [0, { id: 1, name: 'readBarrier', timeoutMs: 1, request: {}, extra: 1 }],
      [0, { id: 1, name: 'unregisterBroker', timeoutMs: 1, request: { brokerId: '1' } }],
      [0, { id: 1, name: 'createAcls', timeoutMs: 1, request: { creations: [{ resourceType: 2 }] } }],
      [0, { id: 1.5, name: 'readBarrier', timeoutMs: 1, request: {} }],
      [0, { id: 1, name: 'electLeaders', timeoutMs: 1, request: { electionType: 0, topicPartitions: [{}] } }],
      [1, { id: 1, outcome: { status: 'other' } }],
      [1, { id: 1, outcome: null }],
      [2, { heartbeat: { ...heartbeat, appliedOffset: -0.5 } }],
      [2, { heartbeat, extra: 1 }],
      [3, { brokerEpoch: 1, answer: {} }],
      [3, []],
      [3, null],
    ]
    for (const [kind, body] of bodies) {
      const bytes = Buffer.concat([Buffer.from([1, kind]), Buffer.from(JSON.stringify(body))])
      expect(decodeFrame(bytes), JSON.stringify(body)).toBe(null)
    }
  })

  test('of any bytes are read without a throw', () => {
    fc.assert(
      fc.property(fc.constantFrom(...frames), fc.nat(), fc.uint8Array({ maxLength: 8 }), (frame, at, noise) => {
        const bytes = encodeFrame(frame)!
        bytes.set(noise.subarray(0, Math.max(0, bytes.length - (at % bytes.length))), at % bytes.length)
        const decoded = decodeFrame(bytes)
        if (decoded !== null) expect(encodeFrame(decoded)).not.toBe(null)
      }),
      { numRuns: 500 },
    )
  })
})
