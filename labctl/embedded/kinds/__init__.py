"""What the API server knows about its kinds, as pure functions: no clients, no clocks of its own, no disk but its data.

How a request goes through (what `api`'s registry does with it), for a built-in `resource`:

    create(body)
        schema.type_errors(resource, body)        → 400 `cannot be handled as a …: json: cannot unmarshal …`
        schema.unknown_fields(resource, body)     → 400 or warnings, as `fieldValidation` says
        defaulting.apply_defaults(resource, obj)  decodes (drops nulls, unknown and empty fields; canonical quantities)
                                                  and fills in defaults, in place
        metadata: the registry's own (generateName, uid, creationTimestamp, namespace)
        strategy.prepare_for_create(resource, obj, state)      may raise ApiError (admission, allocation)
        causes = validation.validate(resource, obj, None)      → validation.invalid(resource, name, causes)
        warnings.warnings(resource, obj)                       → Warning headers
    update(body)
        decode and default as above, then
        strategy.prepare_for_update(resource, new, old, state)
        validation.validate(resource, new, old)
    update of `status`
        decode and default, then strategy.prepare_for_status_update(resource, new, old), validate

`Strategy` carries the settings: `strategy = Strategy(ClusterSettings(...))`. uid must be set before
`prepare_for_create`, since a Job's labels are made of it.

Tables: `tables.columns(resource)`, `tables.cells(resource, obj, now)`. Discovery: `resources.BUILTIN`. OpenAPI:
`schema.openapi_v2()`, `schema.openapi_v3("apps/v1")`. First objects: `bootstrap.objects(settings)`.

Kinds of CustomResourceDefinitions are not known here: every function accepts their `Resource` and leaves the object
alone, with the rules of ObjectMeta only.
"""
