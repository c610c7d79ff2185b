import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { strongComponents } from './strong-components.ts'

/** Nodes that can reach themselves, by following all paths. */
function onCycles(edges: readonly (readonly number[])[]): number[] {
  const reached = edges.map((targets) => new Set(targets))
  for (let round = 0; round < edges.length; round++)
    for (const set of reached) for (const target of [...set]) for (const next of edges[target]!) set.add(next)
  return edges.flatMap((_, node) => (reached[node]!.has(node) ? [node] : []))
}

describe('strong components', () => {
  it('hold exactly the nodes that lie on cycles', () => {
    const graphs = fc
      .integer({ min: 1, max: 8 })
      .chain((count) => fc.array(fc.array(fc.nat(count - 1), { maxLength: 3 }), { minLength: count, maxLength: count }))
    fc.assert(
      fc.property(graphs, (edges) => {
        expect(strongComponents(edges).flat().sort()).toEqual(onCycles(edges).sort())
      }),
      { numRuns: 1000 },
    )
  })

  it('are found in a chain that is longer than any stack', () => {
    const count = 200_000
    const edges = Array.from({ length: count }, (_, node) => [(node + 1) % count])
    expect(strongComponents(edges)).toHaveLength(1)
  })
})
