import { randomUuid, type Uuid } from '@millrace/base'
import {
  type AclBinding,
  type AclFilter,
  AclOperation,
  AclPatternType,
  AclPermissionType,
  AclResourceType,
  aclFilterComplaint,
  CLUSTER_RESOURCE_NAME,
  isKnown,
  matchesAclFilter,
} from '../acl.ts'
import type { AclImage } from '../image.ts'
import type { AccessControlEntryRecord } from '../records.ts'
import { MetadataErrorCode } from './api-error.ts'
import { type ControllerContext, MAX_RECORDS_PER_OPERATION, type Outcome, tooManyRecords } from './context.ts'

/** How one creation went. */
export interface CreateAclResult {
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** What one filter met. With an error nothing. */
export interface DeleteAclsResult extends CreateAclResult {
  readonly deleted: readonly AclBinding[]
}

/** Beyond Kafka, so that the metadata, and what brokers work out of it, stay in bounds whoever may change it. */
export const MAX_ACLS = 50_000
const MAX_TEXT_LENGTH = 1_000

const DONE: CreateAclResult = { errorCode: MetadataErrorCode.NONE, errorMessage: null }

/**
 * Works out new rules (`controller.md`, 8; KIP-11, KIP-290): each for itself. One that is there already, or stands in the request
 * twice, is a success without a record.
 */
export function createAcls(
  context: ControllerContext,
  creations: readonly AclBinding[],
): Outcome<readonly CreateAclResult[]> {
  const known = sameNamed(context.image.acls.values(), creations)
  const ids = new Set<Uuid>()
  const records: AccessControlEntryRecord[] = []
  const results: CreateAclResult[] = []
  for (const creation of creations) {
    const complaint = bindingComplaint(creation)
    if (complaint !== null) {
      results.push({ errorCode: MetadataErrorCode.INVALID_REQUEST, errorMessage: complaint })
      continue
    }
    const key = keyOf(creation)
    if (known.has(key)) {
      results.push(DONE)
      continue
    }
    if (context.image.acls.size + records.length >= MAX_ACLS) {
      results.push({
        errorCode: MetadataErrorCode.POLICY_VIOLATION,
        errorMessage: `There are ${MAX_ACLS} ACLs already`,
      })
      continue
    }
    known.add(key)
    records.push({ type: 'AccessControlEntryRecord', id: newId(context, ids), ...fieldsOf(creation) })
    results.push(DONE)
  }
  const refusal = tooManyRecords(records)
  if (refusal === null) return { records, response: results }
  return {
    records: [],
    response: creations.map(() => ({ errorCode: refusal.code, errorMessage: refusal.message })),
  }
}

/**
 * Works out which rules go: a row for each filter with all that it means, also where an earlier filter means the same. If too many
 * went at once, none does: that only a part was deleted is easily overlooked.
 */
export function deleteAcls(
  context: ControllerContext,
  filters: readonly AclFilter[],
): Outcome<readonly DeleteAclsResult[]> {
  const candidates = new AclCandidates(context.image.acls)
  const gone = new Set<Uuid>()
  const results: DeleteAclsResult[] = []
  let lookCount = 0
  let matchCount = 0
  for (const filter of filters) {
    const complaint = aclFilterComplaint(filter)
    if (complaint !== null) {
      results.push({ errorCode: MetadataErrorCode.INVALID_REQUEST, errorMessage: complaint, deleted: [] })
      continue
    }
    const looked = candidates.of(filter)
    lookCount += looked.length
    if (lookCount > MAX_LOOKS) return refuseAll(filters, 'The filters of the request are too many, or too wide')
    const matching = looked.filter((acl) => matchesAclFilter(filter, acl))
    for (const { id } of matching) gone.add(id)
    matchCount += matching.length
    if (gone.size > MAX_RECORDS_PER_OPERATION || matchCount > MAX_MATCHES) {
      return refuseAll(filters, `At most ${MAX_RECORDS_PER_OPERATION} ACLs can be deleted by one request`)
    }
    results.push({ ...DONE, deleted: matching.map(fieldsOf) })
  }
  return {
    records: Array.from(gone, (id) => ({ type: 'RemoveAccessControlEntryRecord', id })),
    response: results,
  }
}

/** Matches of all filters of a request together, repetitions included: each is an element of the answer. */
const MAX_MATCHES = 2 * MAX_RECORDS_PER_OPERATION
/** Rules held against filters by one request: some ten milliseconds, in which the controller does nothing else. */
const MAX_LOOKS = 2_000_000

function refuseAll(filters: readonly AclFilter[], errorMessage: string): Outcome<readonly DeleteAclsResult[]> {
  const refused = { errorCode: MetadataErrorCode.INVALID_REQUEST, errorMessage, deleted: [] }
  return { records: [], response: filters.map(() => refused) }
}

/** The rules that a filter may mean: those of its name or its principal, if it tells one of them. */
class AclCandidates {
  readonly #all: readonly AclImage[]
  #byName: ReadonlyMap<string, readonly AclImage[]> | null = null
  #byPrincipal: ReadonlyMap<string, readonly AclImage[]> | null = null

  constructor(acls: ReadonlyMap<Uuid, AclImage>) {
    this.#all = [...acls.values()]
  }

  of({ resourceName, patternType, principal }: AclFilter): readonly AclImage[] {
    if (resourceName !== null && patternType !== AclPatternType.MATCH) {
      this.#byName ??= groupBy(this.#all, (acl) => acl.resourceName)
      return this.#byName.get(resourceName) ?? []
    }
    if (principal === null) return this.#all
    this.#byPrincipal ??= groupBy(this.#all, (acl) => acl.principal)
    return this.#byPrincipal.get(principal) ?? []
  }
}

function groupBy(acls: readonly AclImage[], keyOf: (acl: AclImage) => string): Map<string, AclImage[]> {
  const groups = new Map<string, AclImage[]>()
  for (const acl of acls) {
    const group = groups.get(keyOf(acl))
    if (group === undefined) groups.set(keyOf(acl), [acl])
    else group.push(acl)
  }
  return groups
}

/** Kafka's order: the resource first, as its brokers look at it before the controller does. */
function bindingComplaint(acl: AclBinding): string | null {
  const { resourceType, resourceName, patternType, principal, host, operation, permissionType } = acl
  if (resourceType === AclResourceType.CLUSTER && resourceName !== CLUSTER_RESOURCE_NAME) {
    return `A resource of type CLUSTER has no other name than ${CLUSTER_RESOURCE_NAME}`
  }
  if (resourceName === '') return 'The name of the resource is empty'
  if (resourceType === AclResourceType.ANY || !isKnown(AclResourceType, resourceType)) {
    return `Resource type ${resourceType} cannot have ACLs`
  }
  if (patternType !== AclPatternType.LITERAL && patternType !== AclPatternType.PREFIXED) {
    return `Pattern type ${patternType} is neither LITERAL nor PREFIXED`
  }
  if (operation === AclOperation.ANY || !isKnown(AclOperation, operation)) {
    return `Operation ${operation} cannot be allowed or denied`
  }
  if (permissionType !== AclPermissionType.ALLOW && permissionType !== AclPermissionType.DENY) {
    return `Permission type ${permissionType} is neither ALLOW nor DENY`
  }
  if (!principal.includes(':')) return `The principal ${principal} has no colon between its type and its name`
  const isTooLong = [resourceName, principal, host].some((text) => text.length > MAX_TEXT_LENGTH)
  return isTooLong ? `Names, principals and hosts may have at most ${MAX_TEXT_LENGTH} characters` : null
}

/**
 * Keys of those that are about a resource of which the creations tell. All rules are walked for each request, so the walk does little:
 * a look-up of the name.
 */
function sameNamed(acls: Iterable<AclImage>, creations: readonly AclBinding[]): Set<string> {
  const names = new Set(creations.map(({ resourceName }) => resourceName))
  const keys = new Set<string>()
  for (const acl of acls) if (names.has(acl.resourceName)) keys.add(keyOf(acl))
  return keys
}

/** Equal for rules that say the same. */
function keyOf({ resourceType, resourceName, patternType, principal, host, operation, permissionType }: AclBinding) {
  return JSON.stringify([resourceType, patternType, operation, permissionType, resourceName, principal, host])
}

/** What comes with a request may hold more; a record must not. */
function fieldsOf(acl: AclBinding): AclBinding {
  const { resourceType, resourceName, patternType, principal, host, operation, permissionType } = acl
  return { resourceType, resourceName, patternType, principal, host, operation, permissionType }
}

function newId({ image, random }: ControllerContext, taken: Set<Uuid>): Uuid {
  for (;;) {
    const id = randomUuid(random)
    if (image.acls.has(id) || taken.has(id)) continue
    taken.add(id)
    return id
  }
}
