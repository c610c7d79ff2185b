import type { Figures } from '../bench-case.ts'
import { kafkaScript } from '../broker.ts'
import { cpuBetween, cpuSecondsOf } from '../process-stats.ts'
import { run } from '../run.ts'
import type { Variant } from '../variant.ts'

const RECORD_BYTES = 100

const summary =
  /(\d+) records sent, ([\d.]+) records\/sec .*, ([\d.]+) ms avg latency, .* (\d+) ms 50th, .* (\d+) ms 99th/g

/**
 * Kafka's own tool: one producer of its Java client that sends as fast as it can, and commits whenever a transaction is as old as it may be. The
 * latency that it tells is that of records, from `send` to their acknowledgement.
 */
export async function transactionalPerf(
  peers: string,
  { broker }: Variant,
  topic: string,
  transactionMs: number,
  recordCount: number,
): Promise<Figures> {
  const load = ['--num-records', recordCount, '--record-size', RECORD_BYTES, '--throughput', -1]
  const before = cpuSecondsOf(broker.pids)
  const { stdout } = await run(
    kafkaScript(peers, 'transactional-perf'),
    ['--bootstrap-server', broker.bootstrap, '--topic', topic, ...load],
    { environment: { TX_MS: String(transactionMs) } },
  )
  const { user, system } = cpuBetween(before, cpuSecondsOf(broker.pids))
  const last = [...stdout.matchAll(summary)].at(-1)
  if (!last) throw new Error(`transactional-perf said nothing of its end:\n${stdout.slice(-1000)}`)
  const perMillion = (seconds: number) => (seconds * 1e6) / recordCount
  return {
    recordsPerSecond: Number(last[2]),
    averageMs: Number(last[3]),
    p50Ms: Number(last[4]),
    p99Ms: Number(last[5]),
    cpuPerMillion: perMillion(user + system),
    userPerMillion: perMillion(user),
    systemPerMillion: perMillion(system),
  }
}
