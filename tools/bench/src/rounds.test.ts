import { expect, test } from 'vitest'
import type { BenchCase, BenchContext, PreparedCase, ResultRow } from './bench-case.ts'
import type { Broker } from './broker.ts'
import { runCase } from './rounds.ts'
import type { Variant, VariantName } from './variant.ts'

const CONTEXT: BenchContext = { root: '', peers: '', work: '', scratch: '', scale: 1 }
const VARIANTS = (['kafka', 'millrace'] as const).map(
  (name): Variant => ({ name, broker: {} as Broker, topicConfigs: {} }),
)

function benchOf(prepare: (name: VariantName) => PreparedCase): BenchCase {
  return {
    ...{ group: 'group', name: 'name', variants: ['kafka', 'millrace'] },
    prepare: (_context, { name }) => Promise.resolve(prepare(name)),
  }
}

test('variants take turns, every other round the other way around', async () => {
  const rows: ResultRow[] = []
  const disposed: VariantName[] = []
  const bench = benchOf((name) => ({
    run: () => Promise.resolve({ figure: 1 }),
    dispose: () => Promise.resolve(void disposed.push(name)),
  }))
  await runCase(bench, CONTEXT, VARIANTS, 2, { commit: 'c', file: undefined, rows })
  expect(rows.map(({ variant, round }) => `${variant} ${round}`)).toEqual([
    ...['kafka 1', 'millrace 1', 'millrace 2', 'kafka 2'],
  ])
  expect(disposed).toEqual(['kafka', 'millrace'])
})

test('a run that fails is what is told, though nothing can be removed after it', async () => {
  const disposed: VariantName[] = []
  const bench = benchOf((name) => ({
    run: () => Promise.reject(new Error('the broker is gone')),
    dispose: () => {
      disposed.push(name)
      return Promise.reject(new Error('nobody answers'))
    },
  }))
  const running = runCase(bench, CONTEXT, VARIANTS, 1, { commit: 'c', file: undefined, rows: [] })
  await expect(running).rejects.toThrow('the broker is gone')
  expect(disposed).toEqual(['kafka', 'millrace'])
})
