import type { FaultClass } from '@millrace/storage/testing'
import type { LongFlavourName } from '../traces/flavours.ts'

/**
 * One way of the campaign `traces` to attack storage: all its checks, on one kind of workload. Here without anything that loads storage:
 * the hook that puts a defect into it reads this before.
 */
export type Attack =
  /** Random crashes, with a second one each, and some damage. */
  | { readonly kind: 'crashes'; readonly flavour: LongFlavourName }
  /** The same of workloads that do a bit of everything. */
  | { readonly kind: 'mixed crashes' }
  /** Damage of files that were synced. */
  | { readonly kind: 'damage'; readonly flavour: LongFlavourName }
  /** Transaction indexes that are lost after a clean stop, and a start after that which is killed. */
  | { readonly kind: 'lost indexes'; readonly flavour: LongFlavourName }
  /** Operations that fail. */
  | { readonly kind: 'faults'; readonly fault: FaultClass }
  /** All outcomes of each crash of a short trace; a flavour in turn. */
  | { readonly kind: 'traces' }

export const crashes = (flavour: LongFlavourName): Attack => ({ kind: 'crashes', flavour })
export const damage = (flavour: LongFlavourName): Attack => ({ kind: 'damage', flavour })
export const lostIndexes = (flavour: LongFlavourName): Attack => ({ kind: 'lost indexes', flavour })
export const faults = (kind: FaultClass['kind'], operation: FaultClass['operation']): Attack => ({
  kind: 'faults',
  fault: { kind, operation },
})

/** As a reader of the results knows it; tells attacks apart. */
export function nameOfAttack(attack: Attack): string {
  if ('flavour' in attack) return `${attack.kind}, ${attack.flavour}`
  return attack.kind === 'faults' ? `${attack.fault.kind} of ${attack.fault.operation}` : attack.kind
}
