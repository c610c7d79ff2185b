import { type AclBinding, AclOperation, AclPatternType, AclPermissionType, AclResourceType } from '@millrace/consensus'

/** Names come from clients: a log line holds no more of them. */
export const MAX_TOLD_NAME_LENGTH = 249

export const RESOURCE_TYPE_NAMES = namesByNumber(AclResourceType)
export const OPERATION_NAMES = namesByNumber(AclOperation)
const PATTERN_TYPE_NAMES = namesByNumber(AclPatternType)
const PERMISSION_TYPE_NAMES = namesByNumber(AclPermissionType)

/** A rule as a log line tells it: Kafka's words in place of the protocol's numbers, names cut at {@link MAX_TOLD_NAME_LENGTH}. */
export function aclInWords(acl: AclBinding): Record<string, string> {
  return {
    resourceType: RESOURCE_TYPE_NAMES.get(acl.resourceType) ?? String(acl.resourceType),
    resourceName: acl.resourceName.slice(0, MAX_TOLD_NAME_LENGTH),
    patternType: PATTERN_TYPE_NAMES.get(acl.patternType) ?? String(acl.patternType),
    principal: acl.principal.slice(0, MAX_TOLD_NAME_LENGTH),
    host: acl.host.slice(0, MAX_TOLD_NAME_LENGTH),
    operation: OPERATION_NAMES.get(acl.operation) ?? String(acl.operation),
    permissionType: PERMISSION_TYPE_NAMES.get(acl.permissionType) ?? String(acl.permissionType),
  }
}

function namesByNumber(table: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(table).map(([name, number]) => [number, name]))
}
