import { describe, expect, it } from 'vitest'
import { batchOf } from '../testing/batches.ts'
import { TestBroker } from '../testing/test-broker.ts'
import { DURATION_BUCKETS_SECONDS, DurationHistogram } from './duration-histogram.ts'
import { histogramText } from './histogram-text.ts'

describe('health metrics', () => {
  it('tell each budget with its limit, and the disk’s operations', async () => {
    await TestBroker.run({ settings: { 'max.connections': '77' } }, async (client, broker) => {
      await client.createTopic('t')
      await client.produce('t', batchOf(['a']))
      const text = await broker.metrics()
      const sampleOf = (name: string) =>
        Number(
          text
            .split('\n')
            .find((line) => line.startsWith(name))
            ?.split(' ')[1],
        )
      expect(sampleOf('millrace_budget_limit{budget="connections",unit="count"}')).toBe(77)
      expect(sampleOf('millrace_budget_used{budget="connections",unit="count"}')).toBe(2)
      expect(sampleOf('millrace_budget_used{budget="http-connections",unit="count"}')).toBe(1)
      const names = Array.from(text.matchAll(/millrace_budget_used\{budget="([a-z-]+)"/g), (match) => match[1])
      expect(names).toEqual([
        'connections',
        'http-connections',
        'request-frames',
        'idle-frame-buffers',
        'answers',
        'answers-in-making',
        'waiting-answers',
        'fetch-sessions',
        'fetch-session-partitions',
        'parked-fetch-partitions',
        'partitions',
        'open-segments',
        'producers',
        'batch-checks',
        'groups',
        'group-members',
        'committed-offsets',
        'group-metadata',
        'share-sessions',
        'share-session-partitions',
        'share-partitions',
        'share-in-flight-records',
        'share-states',
        'transactional-ids',
        'transaction-states',
      ])
      expect(sampleOf('millrace_disk_operation_seconds_count{operation="sync"}')).toBeGreaterThan(0)
      expect(sampleOf('millrace_disk_operations{state="waiting"}')).toBe(0)
      expect(sampleOf('millrace_open_files')).toBeGreaterThan(0)
      client.close()
    })
  })

  it('count a fetch that waits as parked, until its client goes', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      client.expectNothing()
      client.fetch([{ topic: 't', fetchOffset: 0 }], { maxWaitMs: 60_000 }).catch(() => undefined)
      await broker.idle()
      const parked = 'kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation="Fetch"}'
      expect(await broker.metrics()).toContain(`${parked} 1`)
      client.close()
      await broker.idle()
      expect(await broker.metrics()).toContain(`${parked} 0`)
    })
  })
})

describe('histogram', () => {
  it('cumulates its buckets, and keeps what is above the last of them', () => {
    const histogram = new DurationHistogram()
    for (const durationMs of [0.05, 0.1, 3, 20_000]) histogram.observe(durationMs)
    const buckets = histogram.buckets()
    expect(buckets.map(({ leSeconds }) => leSeconds)).toEqual(DURATION_BUCKETS_SECONDS)
    expect(buckets[0]!.count).toBe(2)
    expect(buckets.find(({ leSeconds }) => leSeconds === 0.005)!.count).toBe(3)
    expect([buckets.at(-1)!.count, histogram.count, histogram.maxSeconds]).toEqual([3, 4, 20])
  })

  it('is written as Prometheus reads it', () => {
    const series = { labels: { operation: 'sync' }, buckets: [{ leSeconds: 0.1, count: 2 }], count: 3, sumSeconds: 1.5 }
    expect(histogramText('name', 'What it is.', [series, { ...series, labels: {} }])).toBe(`# HELP name What it is.
# TYPE name histogram
name_bucket{operation="sync",le="0.1"} 2
name_bucket{operation="sync",le="+Inf"} 3
name_sum{operation="sync"} 1.5
name_count{operation="sync"} 3
name_bucket{le="0.1"} 2
name_bucket{le="+Inf"} 3
name_sum 1.5
name_count 3
`)
  })
})
