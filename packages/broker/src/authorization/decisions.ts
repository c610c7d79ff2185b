import {
  ACL_WILDCARD,
  type AclImage,
  AclOperation,
  AclPatternType,
  AclPermissionType,
  AclResourceType,
} from '@millrace/consensus'
import { bitsOf } from '../metadata/authorized-operations.ts'

/** Every operation there is: what ALL stands for, and what a super user may. */
export const EVERY_OPERATION = bitsOf(
  ...Object.values(AclOperation).filter((operation) => operation > AclOperation.ALL),
)

/** Operations that whoever may do one of these may do as well; only where they are allowed, never where they are denied. */
const { READ, WRITE, DELETE, ALTER, DESCRIBE, ALTER_CONFIGS, DESCRIBE_CONFIGS } = AclOperation
const IMPLIED: ReadonlyMap<number, number> = new Map([
  [READ, bitsOf(DESCRIBE)],
  [WRITE, bitsOf(DESCRIBE)],
  [DELETE, bitsOf(DESCRIBE)],
  [ALTER, bitsOf(DESCRIBE)],
  [ALTER_CONFIGS, bitsOf(DESCRIBE_CONFIGS)],
])

/** What the rules of one pattern allow and deny, as bit fields of operations. */
interface Verdict {
  allowed: number
  denied: number
}

/** Rules of one type of resource: by name, for all names, and by the beginning of a name. */
class Patterns {
  readonly literals = new Map<string, Verdict>()
  readonly prefixes = new Map<string, Verdict>()
  /** Lengths that prefixes have, so that a name is cut only so often. */
  #lengths: number[] = []

  add({ patternType, resourceName }: AclImage, allowed: number, denied: number): void {
    const isPrefix = patternType === AclPatternType.PREFIXED
    const verdicts = isPrefix ? this.prefixes : this.literals
    let verdict = verdicts.get(resourceName)
    if (verdict === undefined) {
      verdict = { allowed: 0, denied: 0 }
      verdicts.set(resourceName, verdict)
      if (isPrefix && !this.#lengths.includes(resourceName.length)) this.#lengths.push(resourceName.length)
    }
    verdict.allowed |= allowed
    verdict.denied |= denied
  }

  /** Adds up what all patterns say that a name fits; null if it fits none. */
  find(name: string): Verdict | null {
    const found: Verdict = { allowed: 0, denied: 0 }
    let isAny = addTo(found, this.literals.get(name))
    isAny = addTo(found, this.literals.get(ACL_WILDCARD)) || isAny
    for (const length of this.#lengths) {
      if (length <= name.length) isAny = addTo(found, this.prefixes.get(name.slice(0, length))) || isAny
    }
    return isAny ? found : null
  }
}

function addTo(sum: Verdict, verdict: Verdict | undefined): boolean {
  if (verdict === undefined) return false
  sum.allowed |= verdict.allowed
  sum.denied |= verdict.denied
  return true
}

/**
 * What the rules say to one principal at one host, as Kafka's StandardAuthorizer decides (`controller.md`, 8): what is denied is
 * denied, then what is allowed is allowed, and nothing else is. Pure. Names that were asked for are remembered, as many as `room` has.
 */
export class Decisions {
  readonly #patterns = new Map<number, Patterns>()
  /** What anybody's rules are about; null: it makes no difference. */
  readonly #governed: Governed | null
  readonly #room: DecisionRoom
  /** By type of resource, then name. */
  readonly #known: Map<string, number>[] = []
  #isForgotten = false

  /** `acls`: those that apply to principal and host. `governed`: where everybody may do everything that no rule is about. */
  constructor(acls: Iterable<AclImage>, governed: Governed | null, room: DecisionRoom) {
    this.#governed = governed
    this.#room = room
    for (const acl of acls) {
      const { operation, permissionType } = acl
      const bits = operation === AclOperation.ALL ? EVERY_OPERATION : (1 << operation) & EVERY_OPERATION
      const allowed = permissionType === AclPermissionType.ALLOW ? bits | (IMPLIED.get(operation) ?? 0) : 0
      const denied = permissionType === AclPermissionType.DENY ? bits : 0
      patternsOf(this.#patterns, acl.resourceType).add(acl, allowed, denied)
    }
    for (let type = 0; type <= AclResourceType.USER; type++) this.#known.push(new Map())
  }

  /** The operations on a resource that are allowed, as a bit field. Hot path: allocates only for a name that is new to it. */
  operationsOn(resourceType: number, name: string): number {
    const known = this.#known[resourceType]!
    const remembered = known.get(name)
    if (remembered !== undefined) return remembered
    const operations = this.#decide(resourceType, name)
    if (!this.#isForgotten && name.length <= MAX_REMEMBERED_LENGTH && this.#room.take()) known.set(name, operations)
    return operations
  }

  /** Others have taken its place: whoever holds it asks for those. */
  get isForgotten(): boolean {
    return this.#isForgotten
  }

  /** Gives back what is remembered: whoever holds this may not ask again for hours. */
  forget(): void {
    this.#isForgotten = true
    for (const known of this.#known) known.clear()
  }

  /**
   * Whether there is any name at all for which the operation may be allowed (`authorizeByResourceType` of KIP-679): a pattern that
   * allows it and that no denial takes back whole.
   */
  isAllowedOnAny(operation: number, resourceType: number): boolean {
    const bit = 1 << operation
    // A name that no rule is about: where all may then do everything this one may too.
    if ((this.operationsOn(resourceType, 'hardcode') & bit) !== 0) return true
    const patterns = this.#patterns.get(resourceType)
    if (patterns === undefined) return false
    const { literals, prefixes } = patterns
    const everything = literals.get(ACL_WILDCARD)
    if (everything !== undefined && (everything.denied & bit) !== 0) return false
    if (everything !== undefined && (everything.allowed & bit) !== 0) return true
    for (const [name, { allowed, denied }] of literals) {
      if ((allowed & bit) !== 0 && (denied & bit) === 0 && !isPrefixDenied(prefixes, name, bit)) return true
    }
    for (const [prefix, { allowed }] of prefixes) {
      if ((allowed & bit) !== 0 && !isPrefixDenied(prefixes, prefix, bit)) return true
    }
    return false
  }

  #decide(resourceType: number, name: string): number {
    const found = this.#patterns.get(resourceType)?.find(name) ?? null
    if (found !== null) return found.allowed & ~found.denied
    if (this.#governed === null || this.#governed.has(resourceType, name)) return 0
    return EVERY_OPERATION
  }
}

/** Whether a denial covers all names that begin with `name`. */
function isPrefixDenied(prefixes: ReadonlyMap<string, Verdict>, name: string, bit: number): boolean {
  for (let length = 1; length <= name.length; length++) {
    const verdict = prefixes.get(name.slice(0, length))
    if (verdict !== undefined && (verdict.denied & bit) !== 0) return true
  }
  return false
}

function patternsOf(byType: Map<number, Patterns>, resourceType: number): Patterns {
  let patterns = byType.get(resourceType)
  if (patterns === undefined) {
    patterns = new Patterns()
    byType.set(resourceType, patterns)
  }
  return patterns
}

/** Which resources any rule is about, whomever it names: what `allow.everyone.if.no.acl.found` asks. */
export class Governed {
  readonly #patterns = new Map<number, Patterns>()

  constructor(acls: Iterable<AclImage>) {
    for (const acl of acls) patternsOf(this.#patterns, acl.resourceType).add(acl, 0, 0)
  }

  has(resourceType: number, name: string): boolean {
    return (this.#patterns.get(resourceType)?.find(name) ?? null) !== null
  }
}

/** Names of topics are no longer. Of groups hardly any is. */
const MAX_REMEMBERED_LENGTH = 249

/** How many decisions may still be remembered, of all principals together: clients choose the names that they ask for. */
export class DecisionRoom {
  #left: number

  constructor(count: number) {
    this.#left = count
  }

  get isFull(): boolean {
    return this.#left === 0
  }

  take(): boolean {
    if (this.#left === 0) return false
    this.#left--
    return true
  }
}
