import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { kafka } from './cluster/kafka.ts'
import { millrace } from './cluster/millrace.ts'
import { allFaults } from './faults/index.ts'
import { runChaos } from './run-chaos.ts'

const [nodes = '1', seconds = '20', names = 'kill', system = 'millrace', seed = '1'] = process.argv.slice(2)
const result = await runChaos({
  system: system === 'kafka' ? kafka : millrace,
  nodeCount: Number(nodes),
  seconds: Number(seconds),
  faults: allFaults.filter(
    ({ family, name, leastNodes }) =>
      (names.split(',').includes(family) || names.split(',').includes(name)) && leastNodes <= Number(nodes),
  ),
  seed: Number(seed),
  ratePerSecond: 100,
  gapMs: 1500,
  directory: mkdtempSync(join(tmpdir(), 'chaos-')),
  signal: new AbortController().signal,
  onProgress: () => undefined,
})
const { history, ...rest } = result
console.log(
  JSON.stringify(
    {
      ...rest,
      leaders: rest.leaders.length,
      faultCounts: [...rest.faultCounts],
      operations: history.operations.length,
    },
    null,
    1,
  ),
)
console.log(
  history.faults
    .map((f) => `${f.kind} ${f.beginMs.toFixed(0)} ${(f.endMs - f.beginMs).toFixed(0)} ${f.detail}`)
    .join('\n'),
)
