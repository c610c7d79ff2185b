import { CLIENTS } from '../network/network.ts'
import { between, pickOne, shuffled } from '../random-choices.ts'
import type { Broken, Fault, Target } from './fault.ts'

function broken({ cluster }: Target, detail: string, holdMs: number): Promise<Broken> {
  return Promise.resolve({
    detail,
    holdMs,
    mend: () => {
      cluster.network.healAll()
      return Promise.resolve()
    },
  })
}

const namesOf = ({ cluster }: Target) => cluster.nodes.map(({ name }) => name)
const lengthMs = ({ random }: Target) => between(random, 1000, 12_000)

/** Faults of the network. None drops what it once took: TCP would send it again, so it comes late. */
export const cuts: readonly Fault[] = [
  {
    name: 'cut-one',
    family: 'network',
    leastNodes: 2,
    inflict: (target) => {
      const [one, ...others] = shuffled(target.random, namesOf(target))
      for (const other of [...others, CLIENTS]) target.cluster.network.cut(one!, other)
      return broken(target, `node ${one} cut off from all`, lengthMs(target))
    },
  },
  {
    name: 'cut-from-peers',
    family: 'network',
    leastNodes: 2,
    inflict: (target) => {
      const [one, ...others] = shuffled(target.random, namesOf(target))
      for (const other of others) target.cluster.network.cut(one!, other)
      return broken(target, `node ${one} cut off from nodes, not from clients`, lengthMs(target))
    },
  },
  {
    name: 'cut-halves',
    family: 'network',
    leastNodes: 3,
    inflict: (target) => {
      const names = shuffled(target.random, namesOf(target))
      const minority = names.slice(0, Math.floor((names.length - 1) / 2))
      for (const one of minority)
        for (const other of names.slice(minority.length)) target.cluster.network.cut(one, other)
      return broken(target, `minority ${minority.join(', ')} cut off from the rest`, lengthMs(target))
    },
  },
  {
    name: 'cut-ring',
    family: 'network',
    leastNodes: 3,
    inflict: (target) => {
      // Each node sees only its neighbours in a ring; with three nodes, one link is missing: a bridge.
      const names = shuffled(target.random, namesOf(target))
      const reach = Math.floor(names.length / 4) || 1
      for (const [at, one] of names.entries())
        for (const [other, name] of names.entries()) {
          const distance = Math.min(
            (other - at + names.length) % names.length,
            (at - other + names.length) % names.length,
          )
          const isBridge = names.length === 3 && at + other === 1
          if (at < other && (distance > reach || isBridge)) target.cluster.network.cut(one, name)
        }
      return broken(target, `each of ${names.join(', ')} sees only some of the others`, lengthMs(target))
    },
  },
  {
    name: 'cut-clients',
    family: 'network',
    leastNodes: 1,
    inflict: (target) => {
      const one = pickOne(target.random, namesOf(target))
      target.cluster.network.cut(one, CLIENTS)
      return broken(target, `node ${one} cut off from clients alone`, lengthMs(target))
    },
  },
  {
    name: 'cut-one-way',
    family: 'network',
    leastNodes: 2,
    inflict: (target) => {
      const [one, ...others] = shuffled(target.random, namesOf(target))
      const isDeaf = target.random.uint32() % 2 === 0
      for (const other of others) {
        const link = isDeaf ? target.cluster.network.link(other, one!) : target.cluster.network.link(one!, other)
        link.set({ isCut: true })
      }
      return broken(
        target,
        `node ${one} ${isDeaf ? 'hears nothing of' : 'is not heard by'} other nodes`,
        lengthMs(target),
      )
    },
  },
  {
    name: 'slow-links',
    family: 'network',
    leastNodes: 1,
    inflict: (target) => {
      const delayMs = Math.round(between(target.random, 5, 200))
      const bytesPerSecond = target.random.uint32() % 2 === 0 ? 0 : 200_000
      const names = [...namesOf(target), CLIENTS]
      const one = pickOne(target.random, namesOf(target))
      for (const other of names.filter((name) => name !== one))
        for (const link of [target.cluster.network.link(one, other), target.cluster.network.link(other, one)])
          link.set({ delayMs, bytesPerSecond })
      const speed = bytesPerSecond === 0 ? '' : ` and ${bytesPerSecond / 1000} kB/s`
      return broken(target, `links of node ${one}: ${delayMs} ms more each way${speed}`, lengthMs(target))
    },
  },
  {
    name: 'reset-connections',
    family: 'network',
    leastNodes: 1,
    inflict: (target) => {
      const names = [...namesOf(target), CLIENTS]
      const one = pickOne(target.random, namesOf(target))
      const open = names.flatMap((other) => target.cluster.network.connectionsBetween(one, other))
      for (const connection of open) connection.reset()
      return broken(target, `all ${open.length} connections of node ${one} reset`, 0)
    },
  },
  {
    name: 'half-close',
    family: 'network',
    leastNodes: 1,
    inflict: (target) => {
      const names = [...namesOf(target), CLIENTS]
      const one = pickOne(target.random, namesOf(target))
      const open = names.flatMap((other) => target.cluster.network.connectionsBetween(one, other))
      for (const connection of open) connection.halfClose()
      return broken(target, `all ${open.length} connections of node ${one} closed in one direction`, 0)
    },
  },
]
