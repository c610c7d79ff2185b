import { SimulatedClock, SimulatedTimers, type Uuid } from '@millrace/base'
import {
  applyRecords,
  type ControllerEvents,
  type ControllerPort,
  ControllerRequestError,
  ControllerUnavailableError,
  emptyImage,
  type MetadataImage,
  type MetadataRecord,
} from '@millrace/consensus'
import { beforeEach, describe, expect, test } from 'vitest'
import { ControllerPortServer } from './controller-port-server.ts'
import { CLOSE_LIMIT_MS, ThreadControllerPort } from './thread-controller-port.ts'
import {
  MAX_RECORDS_PER_MESSAGE,
  MAX_UNCONFIRMED_MESSAGES,
  MAX_WAITING_RECORDS,
  type ToBroker,
  type ToController,
} from './thread-messages.ts'

/** A quorum node that the test plays. */
class FakeNode implements ControllerPort {
  image: MetadataImage = emptyImage('cluster')
  events: ControllerEvents | null = null
  readonly heartbeats: unknown[] = []
  isClosed = false
  respond: (name: string, request: unknown) => Promise<unknown> = async () => null

  start(events: ControllerEvents): void {
    this.events = events
  }

  request(name: string, request: unknown): Promise<never> {
    return this.respond(name, request) as Promise<never>
  }

  heartbeat(heartbeat: unknown): void {
    this.heartbeats.push(heartbeat)
  }

  async close(): Promise<void> {
    this.isClosed = true
  }

  commit(records: readonly MetadataRecord[]): void {
    const startOffset = this.image.offset
    this.image = applyRecords(this.image, records).image
    this.events?.onRecords(startOffset, records)
  }
}

const noOps = (count: number): MetadataRecord[] => Array.from({ length: count }, () => ({ type: 'NoOpRecord' }))

let node: FakeNode
let server: ControllerPortServer
let port: ThreadControllerPort
let image: MetadataImage
/** Sizes of the calls that reached the broker. */
let steps: number[]
let fatal: Error[]
/** Messages on their way to the broker's thread, which takes none of them while it hangs. */
let unread: ToBroker[]
let isHanging: boolean
let isTaking: boolean
let isTerminated: boolean
/** When the thread is gone. */
let terminated: Promise<void>
let timers: SimulatedTimers

beforeEach(() => {
  node = new FakeNode()
  image = emptyImage('cluster')
  steps = []
  fatal = []
  unread = []
  isHanging = false
  isTaking = false
  isTerminated = false
  terminated = Promise.resolve()
  // As between threads: what goes over is a copy, and is taken after whatever is being taken now.
  server = new ControllerPortServer(node, (message) => {
    unread.push(structuredClone(message))
    takeUnread()
  })
  timers = new SimulatedTimers(new SimulatedClock())
  port = new ThreadControllerPort(
    {
      postMessage: (message: ToController) => void server.onMessage(structuredClone(message)),
      terminate: () => {
        isTerminated = true
        return terminated
      },
    },
    'cluster',
    timers,
  )
  port.start({
    onRecords(startOffset, records) {
      expect(startOffset).toBe(image.offset)
      image = applyRecords(image, records).image
      steps.push(records.length)
    },
    onImage(whole) {
      image = whole
    },
    onActiveController: () => undefined,
    onHeartbeatAnswer: () => undefined,
    onFatal: (error) => fatal.push(error),
  })
})

function takeUnread(): void {
  if (isTaking || isHanging) return
  isTaking = true
  for (let message = unread.shift(); message !== undefined; message = unread.shift()) port.onMessage(message)
  isTaking = false
}

/** The broker's thread goes on, and takes what has come meanwhile. */
function wake(): void {
  isHanging = false
  takeUnread()
}

describe('metadata', () => {
  test('what is committed together arrives together, however many messages it takes', () => {
    node.commit(noOps(2 * MAX_RECORDS_PER_MESSAGE + 5))
    node.commit(noOps(1))
    expect(steps).toEqual([2 * MAX_RECORDS_PER_MESSAGE + 5, 1])
    expect(image.offset).toBe(node.image.offset)
  })

  test('a broker that hangs is sent a bounded number of messages, and all the rest when it goes on', () => {
    isHanging = true
    for (let count = 0; count < 3 * MAX_UNCONFIRMED_MESSAGES; count++) node.commit(noOps(1))
    expect(unread).toHaveLength(MAX_UNCONFIRMED_MESSAGES)
    wake()
    expect(image.offset).toBe(3 * MAX_UNCONFIRMED_MESSAGES)
    expect(steps).toHaveLength(3 * MAX_UNCONFIRMED_MESSAGES)
  })

  test('a broker that hangs for long gets the newest image in place of what it missed', () => {
    isHanging = true
    node.commit([{ type: 'TopicRecord', name: 'a', topicId: 'AAAAAAAAAAAAAAAAAAAAZA' as Uuid }])
    for (let count = 0; count <= MAX_WAITING_RECORDS; count += 1000) node.commit(noOps(1000))
    node.commit([{ type: 'FeatureLevelRecord', name: 'x', featureLevel: 3 }])
    wake()
    expect(image.offset).toBe(node.image.offset)
    expect(image.features.get('x')).toBe(3)
    expect([...image.topics.keys()]).toEqual(['a'])
    node.commit(noOps(2))
    expect(image.offset).toBe(node.image.offset)
  })

  test('an image of many parts is whole, and records follow it', () => {
    const topics: MetadataRecord[] = Array.from({ length: MAX_RECORDS_PER_MESSAGE + 10 }, (_, number) => ({
      type: 'TopicRecord',
      name: `topic-${number}`,
      topicId: Buffer.alloc(16, `${number}`.padStart(16, '0')).toString('base64url') as Uuid,
    }))
    const whole = { ...applyRecords(emptyImage('cluster'), topics).image, offset: 123_456 }
    node.image = whole
    node.events!.onImage(whole)
    expect(image.offset).toBe(123_456)
    expect([...image.topics.keys()].sort()).toEqual([...whole.topics.keys()].sort())
    node.commit(noOps(1))
    expect(image.offset).toBe(123_457)
  })
})

describe('requests', () => {
  test('answers and refusals find who asked', async () => {
    node.respond = async (name) => {
      if (name === 'readBarrier') return { offset: 9 }
      if (name === 'deleteTopics') throw new ControllerRequestError(44, 'too many')
      throw new ControllerUnavailableError('nobody', true)
    }
    const [barrier, deletion, creation] = await Promise.allSettled([
      port.request('readBarrier', {}, 1000),
      port.request('deleteTopics', { topics: [] }, 1000),
      port.request('createTopics', { topics: [], validateOnly: false }, 1000),
    ])
    expect(barrier).toEqual({ status: 'fulfilled', value: { offset: 9 } })
    expect(deletion).toMatchObject({ reason: new ControllerRequestError(44, 'too many') })
    expect((creation as PromiseRejectedResult).reason).toBeInstanceOf(ControllerUnavailableError)
    expect(creation).toMatchObject({ reason: { mayBeDone: true } })
  })

  test('closing ends what waits, closes the node, then the thread', async () => {
    node.respond = () => new Promise(() => undefined)
    const waiting = port.request('readBarrier', {}, 1000)
    const closed = port.close()
    await expect(waiting).rejects.toThrow(ControllerUnavailableError)
    await closed
    expect([node.isClosed, isTerminated]).toEqual([true, true])
    await expect(port.request('readBarrier', {}, 1000)).rejects.toThrow('stopping')
  })
})

describe('the end of the thread', () => {
  test('is fatal, once, and ends what waits', async () => {
    node.respond = () => new Promise(() => undefined)
    const waiting = port.request('readBarrier', {}, 1000)
    port.onEnd(new Error('out of memory'))
    port.onEnd(new Error('exit'))
    await expect(waiting).rejects.toThrow('out of memory')
    expect(fatal.map(({ message }) => message)).toEqual(['out of memory'])
  })

  test('is what a stop waits for', async () => {
    node.close = () => new Promise(() => undefined)
    const closed = port.close()
    port.onEnd(new Error('exit 0'))
    await closed
    expect(fatal).toEqual([])
  })

  test('is not waited for where the node or the thread hangs, with its disk', async () => {
    node.close = () => new Promise(() => undefined)
    terminated = new Promise(() => undefined)
    const closed = port.close()
    timers.advance(CLOSE_LIMIT_MS)
    await closed
    expect([isTerminated, timers.pendingCount]).toEqual([true, 0])
  })

  test('leaves no timer behind', async () => {
    await port.close()
    expect(timers.pendingCount).toBe(0)
  })

  test('a quorum node that cannot go on is fatal', () => {
    node.events!.onFatal(new Error('the log is damaged'))
    expect(fatal.map(({ message }) => message)).toEqual(['the log is damaged'])
  })
})

test('threads of different builds refuse each other', () => {
  void server.onMessage({ type: 'start', version: 0 })
  expect(fatal.map(({ message }) => message).join()).toContain('different builds')
})

test('what the thread tells of its quorum is there for who asks', () => {
  expect([port.status, port.wait]).toEqual([null, null])
  const wait = { isFirst: true, voters: [1, 2, 3], missing: [3], disagreeing: [] }
  port.onMessage({ type: 'status', status: null, wait })
  expect([port.status, port.wait]).toEqual([null, wait])
  const ends = { commitIndex: 5, lastIndex: 6, appliedIndex: 5 }
  const counts = { voterCount: 3, observerCount: 0 }
  const status = { role: 'leader', term: 1, leaderId: 1, isActive: true, ...counts, ...ends } as const
  port.onMessage({ type: 'status', status, wait: null })
  expect([port.status, port.wait]).toEqual([status, null])
})
