import { SimulatedClock } from '@millrace/base'
import { type Consumer, type ConsumerBatch, ProtocolError, type RebalanceListener } from '@millrace/client'
import { describe, expect, test } from 'vitest'
import { ExitCode } from '../command/cli-error.ts'
import { runFake } from '../testing/fake-io.ts'
import { fakeRecord } from '../testing/fake-record.ts'

const INCONSISTENT_GROUP_PROTOCOL = 23
const REBALANCE_IN_PROGRESS = 27
const BATCH_RECORDS = 2

interface FakePartition {
  log: string[]
  /** What the group remembers, null for nothing. */
  committed: number | null
  position: number
  isPaused: boolean
}

/** The only member of a group, over logs in memory. It gets `assigned` at its first poll; each poll gives two records of each partition. */
class FakeGroup {
  readonly partitions: FakePartition[]
  readonly clock = new SimulatedClock()
  assigned: number[]
  listener: RebalanceListener = {}
  pollCount = 0
  /** Answers to the next commits: numbers of errors. */
  commitErrors: number[] = []
  /** Called before each poll, with its number from 0. */
  onPoll: (number: number) => void = () => undefined

  constructor(logs: readonly (readonly string[])[], committed: readonly (number | null)[]) {
    this.partitions = logs.map((log, number) => {
      const offset = committed[number] ?? null
      return { log: [...log], committed: offset, position: offset ?? 0, isPaused: false }
    })
    this.assigned = [...this.partitions.keys()]
  }

  get committed(): (number | null)[] {
    return this.partitions.map(({ committed }) => committed)
  }

  /** Runs `consume t --group g` with these options more. */
  run(args: readonly string[], options: { stdoutWritesTaken?: number; signal?: AbortSignal } = {}) {
    return runFake(['consume', 't', '--group', 'g', ...args], {
      ...options,
      clock: this.clock,
      consumer: this.#consumer(),
    })
  }

  #consumer(): Partial<Consumer> {
    return {
      partitionsOf: () => Promise.resolve([...this.partitions.keys()]),
      subscribe: (_topics, listener) => {
        this.listener = listener ?? {}
      },
      assignment: () => (this.pollCount === 0 ? [] : this.#places()),
      findOffsets: (places) =>
        Promise.resolve(
          places.map((place) => {
            return { ...place, offset: BigInt(this.partitions[place.partition]!.log.length), timestamp: -1 }
          }),
        ),
      position: ({ partition }) => Promise.resolve(BigInt(this.partitions[partition]!.position)),
      seek: ({ partition }, offset) => {
        this.partitions[partition]!.position = Number(offset)
      },
      pause: (places) => {
        for (const { partition } of places) this.partitions[partition]!.isPaused = true
      },
      commit: () => {
        const errorCode = this.commitErrors.shift()
        if (errorCode !== undefined) return Promise.reject(new ProtocolError(errorCode))
        for (const number of this.assigned) this.partitions[number]!.committed = this.partitions[number]!.position
        return Promise.resolve()
      },
      poll: (options) => this.#poll(options?.timeoutMs ?? 0),
    }
  }

  async #poll(timeoutMs: number): Promise<ConsumerBatch[]> {
    this.onPoll(this.pollCount)
    if (this.pollCount++ === 0) await this.listener.onPartitionsAssigned?.(this.#places())
    const batches = this.assigned.flatMap((number) => this.#take(number))
    if (batches.length === 0) this.clock.advance(timeoutMs)
    return batches
  }

  #take(number: number): ConsumerBatch[] {
    const partition = this.partitions[number]!
    if (partition.isPaused || partition.position >= partition.log.length) return []
    const start = partition.position
    partition.position = Math.min(partition.log.length, start + BATCH_RECORDS)
    const records = partition.log
      .slice(start, partition.position)
      .map((value, slot) => fakeRecord({ partition: number, offset: BigInt(start + slot), value }))
    return [{ topic: 't', partition: number, records, nextOffset: BigInt(partition.position) } as ConsumerBatch]
  }

  #places() {
    return this.assigned.map((partition) => ({ topic: 't', partition }))
  }
}

const A = ['a0', 'a1', 'a2', 'a3', 'a4']
const B = ['b0']

function sortedLines(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .sort()
}

describe('--exit', () => {
  test('reads from where the group was up to the end, commits and leaves', async () => {
    const group = new FakeGroup([A, B], [2, null])
    const run = await group.run(['-e'])
    expect(run).toMatchObject({ exitCode: ExitCode.OK, stderr: '' })
    expect(sortedLines(run.stdout)).toEqual(['a2', 'a3', 'a4', 'b0'])
    expect(group.committed).toEqual([5, 1])
  })

  test('ends at once where the group has read everything', async () => {
    const group = new FakeGroup([A, B], [5, 1])
    const run = await group.run(['-e'])
    expect(run).toMatchObject({ exitCode: ExitCode.OK, stdout: '', stderr: '' })
    expect(group.pollCount).toBe(1)
  })

  test('does not chase records that come meanwhile: they are neither shown nor committed', async () => {
    const group = new FakeGroup([A, B], [0, 0])
    group.onPoll = (number) => {
      // After the ends were looked up.
      if (number > 0) for (const { log } of group.partitions) log.push('late')
    }
    const run = await group.run(['-e'])
    expect(sortedLines(run.stdout)).toEqual([...A, ...B])
    expect(group.committed).toEqual([5, 1])
  })

  test('a partition that comes back after a rebalance is read up to its first end', async () => {
    const group = new FakeGroup([A], [0])
    group.onPoll = (number) => {
      if (number !== 1) return
      group.partitions[0]!.log.push('late')
      void group.listener.onPartitionsLost?.([{ topic: 't', partition: 0 }])
      void group.listener.onPartitionsAssigned?.([{ topic: 't', partition: 0 }])
    }
    const run = await group.run(['-e'])
    expect(sortedLines(run.stdout)).toEqual(A)
    expect(group.committed).toEqual([5])
  })

  test('a rebalance that refuses the commit is waited for', async () => {
    const group = new FakeGroup([B], [0])
    group.commitErrors = [REBALANCE_IN_PROGRESS, REBALANCE_IN_PROGRESS]
    const run = await group.run(['-e'])
    expect(run).toMatchObject({ exitCode: ExitCode.OK, stdout: 'b0\n' })
    expect(group.committed).toEqual([1])
  })

  test('a member without partitions waits for its share, then says that there is none', async () => {
    const group = new FakeGroup([A], [0])
    group.assigned = []
    const run = await group.run(['-e'])
    expect(run).toMatchObject({ exitCode: ExitCode.OK, stdout: '' })
    expect(run.stderr).toContain('other members')
    expect(group.clock.monotonicMs()).toBeGreaterThanOrEqual(10_000)
  })

  test('--no-commit reads and remembers nothing', async () => {
    const group = new FakeGroup([A], [1])
    const run = await group.run(['-e', '--no-commit'])
    expect(sortedLines(run.stdout)).toEqual(['a1', 'a2', 'a3', 'a4'])
    expect(group.committed).toEqual([1])
    expect(run.clientOptions).toMatchObject([{ groupId: 'g', enableAutoCommit: false }])
  })

  test('Ctrl-C breaks it off', async () => {
    const ending = new AbortController()
    const group = new FakeGroup([A], [0])
    group.onPoll = (number) => {
      if (number === 1) ending.abort()
    }
    const run = await group.run(['-e'], { signal: ending.signal })
    expect(run.exitCode).toBe(ExitCode.INTERRUPTED)
    expect(sortedLines(run.stdout)).toEqual(['a0', 'a1', 'a2', 'a3'])
  })
})

test('a group of another kind is told from a failure, with where its kind is shown', async () => {
  const run = await runFake(['consume', 't', '--group', 'g'], {
    consumer: {
      partitionsOf: () => Promise.resolve([0]),
      subscribe: () => undefined,
      poll: () => Promise.reject(new ProtocolError(INCONSISTENT_GROUP_PROTOCOL, { subject: 'joining group g' })),
      close: () => Promise.resolve(),
    },
  })
  expect(run.exitCode).toBe(ExitCode.ERROR)
  expect(run.stderr).toContain('joining group g')
  expect(run.stderr).toContain('"millrace group list" shows its type')
})

describe('places of a group', () => {
  test('-n commits what was shown and not the rest of what was fetched', async () => {
    const group = new FakeGroup([A, A], [0, 0])
    const run = await group.run(['-n', '3'])
    expect(run.exitCode).toBe(ExitCode.OK)
    expect(sortedLines(run.stdout)).toHaveLength(3)
    expect(group.committed).toEqual([2, 1])
  })

  test('what a reader that went away did not get is not passed over', async () => {
    const group = new FakeGroup([A], [0])
    const run = await group.run(['-e'], { stdoutWritesTaken: 1 })
    expect(run).toMatchObject({ exitCode: ExitCode.OK, stdout: 'a0\na1\n', stderr: '' })
    expect(group.partitions[0]!.position).toBe(2)
  })

  test('where the group has no place yet, --from says whether the beginning or the end', async () => {
    const resetOf = async (...args: string[]) => {
      const { clientOptions } = await new FakeGroup([[]], [0]).run(['-e', ...args])
      return (clientOptions[0] as { autoOffsetReset: string }).autoOffsetReset
    }
    expect(await resetOf('--from', 'beginning')).toBe('earliest')
    expect(await resetOf('--from', 'end')).toBe('latest')
    expect(await resetOf()).toBe('latest')
  })

  test('a last commit that failed is an error, since the records will come again', async () => {
    let onEvent: ((event: object) => void) | undefined
    const ending = new AbortController()
    const run = await runFake(['consume', 't', '--group', 'g'], {
      signal: ending.signal,
      onClient: (options) => {
        onEvent = (options as { onEvent: typeof onEvent }).onEvent
      },
      consumer: {
        partitionsOf: () => Promise.resolve([0]),
        subscribe: () => undefined,
        poll: () => {
          ending.abort()
          return Promise.resolve([])
        },
        close: () => {
          onEvent?.({ type: 'commit-failed', error: new ProtocolError(REBALANCE_IN_PROGRESS) })
          return Promise.resolve()
        },
      },
    })
    expect(run.exitCode).toBe(ExitCode.ERROR)
    expect(run.stderr).toContain('group g did not remember its place')
  })
})
