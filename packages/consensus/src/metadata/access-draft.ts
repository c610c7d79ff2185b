import { assert, type Uuid } from '@millrace/base'
import { type AclImage, type MetadataImage, type QuotaImage, quotaKey, type ScramImage, scramKey } from './image.ts'
import type {
  AccessControlEntryRecord,
  ClientQuotaRecord,
  RemoveAccessControlEntryRecord,
  RemoveUserScramCredentialRecord,
  UserScramCredentialRecord,
} from './records.ts'

/** Records about who may do what, and how much of it. */
export type AccessRecord =
  | ClientQuotaRecord
  | AccessControlEntryRecord
  | RemoveAccessControlEntryRecord
  | UserScramCredentialRecord
  | RemoveUserScramCredentialRecord

/** Collects the changes of quotas, ACLs and credentials for the reducer. An undefined value removes the key. */
export class AccessDraft {
  readonly #image: MetadataImage
  readonly quotas = new Map<string, QuotaImage | undefined>()
  readonly acls = new Map<Uuid, AclImage | undefined>()
  readonly scramCredentials = new Map<string, ScramImage | undefined>()

  constructor(image: MetadataImage) {
    this.#image = image
  }

  apply(record: AccessRecord): void {
    switch (record.type) {
      case 'ClientQuotaRecord':
        this.#setQuota(record)
        break
      case 'AccessControlEntryRecord': {
        const { type: _, ...acl } = record
        this.acls.set(acl.id, acl)
        break
      }
      case 'RemoveAccessControlEntryRecord':
        assert(this.#has(this.acls, this.#image.acls, record.id), 'RemoveAccessControlEntryRecord: no such ACL')
        this.acls.set(record.id, undefined)
        break
      case 'UserScramCredentialRecord': {
        const { type: _, ...credential } = record
        this.scramCredentials.set(scramKey(credential.mechanism, credential.name), credential)
        break
      }
      case 'RemoveUserScramCredentialRecord': {
        const key = scramKey(record.mechanism, record.name)
        const known = this.#has(this.scramCredentials, this.#image.scramCredentials, key)
        assert(known, 'RemoveUserScramCredentialRecord: no such credential')
        this.scramCredentials.set(key, undefined)
      }
    }
  }

  #setQuota({ entity, key, value }: ClientQuotaRecord): void {
    const name = quotaKey(entity)
    const current = this.quotas.has(name) ? this.quotas.get(name) : this.#image.clientQuotas.get(name)
    const values = new Map(current?.values)
    if (value === null) values.delete(key)
    else values.set(key, value)
    this.quotas.set(name, values.size === 0 ? undefined : { entity, values })
  }

  #has<K, V>(draft: ReadonlyMap<K, V | undefined>, image: ReadonlyMap<K, V>, key: K): boolean {
    return draft.has(key) ? draft.get(key) !== undefined : image.has(key)
  }
}
