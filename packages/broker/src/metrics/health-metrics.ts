import type { BudgetSample } from './budget.ts'
import type { DefineMetric } from './define-metric.ts'
import { DISK_OPERATIONS, type DiskActivity } from './disk-activity.ts'
import { histogramText } from './histogram-text.ts'
import type { ProcessHealth } from './process-health.ts'

/** How the process fares: `docs/metrics.md` tells what to read from it. */
export interface HealthSources {
  /** Null: nobody can measure the process, as for a broker in memory. */
  health: ProcessHealth | null
  disk: DiskActivity
  /** Its start is over, and no stop has begun. */
  isReady(): boolean
  budgets(): readonly BudgetSample[]
}

export function defineHealthMetrics(sources: HealthSources, counter: DefineMetric, gauge: DefineMetric): void {
  gauge('millrace_ready', 'Whether the node is ready: its start is over, and no stop has begun.', [], (set) => {
    set({}, sources.isReady() ? 1 : 0)
  })
  defineBudgets(sources, gauge)
  defineThreadPool(sources, gauge)
  const { health } = sources
  if (health === null) return
  defineProcessorTime(health, counter)
  counter('millrace_loop_active_seconds_total', 'Time that the event loop worked.', [], (set) => {
    set({}, health.loopTime().activeSeconds)
  })
  counter('millrace_loop_idle_seconds_total', 'Time that the event loop waited for something to do.', [], (set) => {
    set({}, health.loopTime().idleSeconds)
  })
  gauge('millrace_loop_longest_delay_seconds', 'Longest stall of the event loop since the start.', [], (set) => {
    set({}, health.longestDelaySeconds())
  })
  counter(
    'millrace_gc_seconds_total',
    'Time in garbage collection by kind, since the first scrape.',
    ['kind'],
    (set) => {
      for (const { kind, sumSeconds } of health.collections()) set({ kind }, sumSeconds)
    },
  )
  counter('millrace_gc_collections_total', 'Garbage collections by kind, since the first scrape.', ['kind'], (set) => {
    for (const { kind, count } of health.collections()) set({ kind }, count)
  })
  gauge(
    'millrace_gc_longest_seconds',
    'Longest garbage collection by kind, since the first scrape.',
    ['kind'],
    (set) => {
      for (const { kind, maxSeconds } of health.collections()) set({ kind }, maxSeconds)
    },
  )
  gauge('process_open_fds', 'Number of open file descriptors.', [], async (set) => {
    const count = await health.openDescriptors()
    if (count !== null) set({}, count)
  })
  gauge('millrace_memory_bytes', 'Memory of the process by kind.', ['kind'], (set) => {
    const memory = health.memory()
    set({ kind: 'rss' }, memory.rss)
    if (memory.anonymous !== null) set({ kind: 'anonymous' }, memory.anonymous)
    set({ kind: 'heap-used' }, memory.heapUsed)
    set({ kind: 'heap-total' }, memory.heapTotal)
    set({ kind: 'external' }, memory.external)
    set({ kind: 'array-buffers' }, memory.arrayBuffers)
  })
}

/** Under the names of prom-client's, which begin to count at the first scrape. */
function defineProcessorTime(health: ProcessHealth, counter: DefineMetric): void {
  counter('process_cpu_user_seconds_total', 'User CPU time since the start, in seconds.', [], (set) => {
    set({}, health.processorTime().userSeconds)
  })
  counter('process_cpu_system_seconds_total', 'System CPU time since the start, in seconds.', [], (set) => {
    set({}, health.processorTime().systemSeconds)
  })
  counter('process_cpu_seconds_total', 'User and system CPU time since the start, in seconds.', [], (set) => {
    const { userSeconds, systemSeconds } = health.processorTime()
    set({}, userSeconds + systemSeconds)
  })
}

function defineBudgets({ budgets }: HealthSources, gauge: DefineMetric): void {
  const labels = ['budget', 'unit']
  gauge('millrace_budget_used', 'What is held of what outsiders can make the broker hold.', labels, (set) => {
    for (const { name, unit, used } of budgets()) set({ budget: name, unit }, used)
  })
  gauge('millrace_budget_limit', 'What may be held of it at most.', labels, (set) => {
    for (const { name, unit, limit } of budgets()) set({ budget: name, unit }, limit)
  })
}

function defineThreadPool({ disk, health }: HealthSources, gauge: DefineMetric): void {
  const threadCount = health?.poolThreadCount ?? Number.POSITIVE_INFINITY
  gauge('millrace_disk_operations', 'Disk operations handed to the thread pool and not done.', ['state'], (set) => {
    set({ state: 'running' }, Math.min(threadCount, disk.outstanding))
    set({ state: 'waiting' }, Math.max(0, disk.outstanding - threadCount))
  })
  gauge('millrace_disk_operations_most', 'Most disk operations that were out at once since the start.', [], (set) => {
    set({}, disk.maxOutstanding)
  })
  gauge('millrace_open_files', 'Files of logs and metadata that are open.', [], (set) => set({}, disk.openFileCount))
}

/** The histograms, which the client library cannot hold. */
export function healthHistograms({ health, disk }: HealthSources): string {
  const operations = histogramText(
    'millrace_disk_operation_seconds',
    'Disk operations on the thread pool, from the call to the end, the wait for a thread included.',
    DISK_OPERATIONS.map((operation) => {
      const durations = disk.durations[operation]
      const { count, sumSeconds } = durations
      return { labels: { operation }, buckets: durations.buckets(), count, sumSeconds }
    }),
  )
  if (health === null) return operations
  const loop = histogramText('millrace_loop_delay_seconds', 'How late the event loop was, sampled all the time.', [
    { labels: {}, ...health.loopDelay() },
  ])
  return operations + loop
}
