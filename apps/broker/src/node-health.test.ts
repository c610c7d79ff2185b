import { closeSync, openSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { descriptorLimit, NodeHealth } from './node-health.ts'

function block(durationMs: number): void {
  const endMs = performance.now() + durationMs
  while (performance.now() < endMs) Math.sqrt(durationMs)
}

test('a stall of the loop is the longest delay, and is in the buckets above it only', async () => {
  const health = new NodeHealth({})
  // The first samples of the native timer have to come before the stall.
  while (health.loopDelay().count < 3) await delay(1)
  block(150)
  const before = health.loopDelay().count
  while (health.loopDelay().count <= before) await delay(1)
  const { buckets, count, sumSeconds } = health.loopDelay()
  expect(health.longestDelaySeconds()).toBeGreaterThan(0.1)
  const upTo = (seconds: number) => buckets.find(({ leSeconds }) => leSeconds === seconds)!.count
  expect(upTo(0.1)).toBeLessThan(count)
  expect(upTo(10)).toBe(count)
  expect(sumSeconds).toBeGreaterThan(0.1)
  const counts = buckets.map((bucket) => bucket.count)
  expect(counts).toEqual([...counts].sort((a, b) => a - b))
})

test('the loop’s time grows while it works and while it waits', async () => {
  const health = new NodeHealth({})
  const before = health.loopTime()
  block(20)
  await delay(20)
  const after = health.loopTime()
  expect(after.activeSeconds - before.activeSeconds).toBeGreaterThan(0.015)
  expect(after.idleSeconds).toBeGreaterThan(before.idleSeconds)
})

test('processor time is that of the process, from its start on', () => {
  const { user, system } = process.cpuUsage()
  const time = new NodeHealth({}).processorTime()
  expect(time.userSeconds + time.systemSeconds).toBeGreaterThanOrEqual((user + system) / 1e6)
  expect(time.userSeconds).toBeGreaterThan(0)
})

test('collections are counted from the first question on, by kind', async () => {
  const health = new NodeHealth({})
  expect(health.collections().map(({ kind }) => kind)).toEqual(['minor', 'major', 'incremental', 'weak-callbacks'])
  const total = () => health.collections().reduce((sum, { count }) => sum + count, 0)
  let kept: number[][] = []
  while (total() === 0) {
    for (let n = 0; n < 1000; n++) kept.push(new Array(100).fill(n))
    kept = []
    await delay(1)
  }
  expect(Math.max(...health.collections().map(({ maxSeconds }) => maxSeconds))).toBeGreaterThan(0)
})

test('memory and threads are those of the process', () => {
  const { rss, anonymous, heapUsed, heapTotal } = new NodeHealth({}).memory()
  expect(rss).toBeGreaterThan(10e6)
  expect(heapUsed).toBeLessThanOrEqual(heapTotal)
  if (process.platform === 'linux') expect(anonymous).toBeGreaterThan(10e6)
  expect(new NodeHealth({ UV_THREADPOOL_SIZE: '16' }).poolThreadCount).toBe(16)
  expect(new NodeHealth({ UV_THREADPOOL_SIZE: 'x' }).poolThreadCount).toBe(4)
  expect(descriptorLimit()).toBeGreaterThan(100)
})

test.runIf(process.platform === 'linux')('open descriptors are counted', async () => {
  const health = new NodeHealth({})
  const before = (await health.openDescriptors())!
  const opened = Array.from({ length: 50 }, () => openSync(import.meta.filename, 'r'))
  const after = (await health.openDescriptors())!
  for (const descriptor of opened) closeSync(descriptor)
  // Others of the process may come and go meanwhile.
  expect(after - before).toBeGreaterThan(40)
})
