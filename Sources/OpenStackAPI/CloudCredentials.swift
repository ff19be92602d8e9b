package import Support

/// Who asks: a user with a password, or an application credential, as keystone's v3 API knows them.
package struct CloudCredentials: Sendable, Hashable {
    package enum Identity: Sendable, Hashable {
        /// A name needs its domain, an id does not.
        case password(user: Named, password: Redacted<String>)
        /// The project comes with it.
        case applicationCredential(id: String, secret: Redacted<String>)
    }

    /// A name within a domain, or an id.
    package struct Named: Sendable, Hashable {
        package var id: String?
        package var name: String?
        package var domainID: String?
        package var domainName: String?

        package init(id: String? = nil, name: String? = nil, domainID: String? = nil, domainName: String? = nil) {
            self.id = id
            self.name = name
            self.domainID = domainID
            self.domainName = domainName
        }

        var json: JSONObject {
            var object: JSONObject = [:]
            if let id { object["id"] = .string(id) } else if let name { object["name"] = .string(name) }
            if id == nil { object["domain"] = domainID.map { ["id": .string($0)] } ?? domain }
            return object
        }

        private var domain: JSONValue { ["name": .string(domainName ?? "Default")] }
    }

    /// The identity service's URL, with or without `/v3`.
    package var authURL: String
    package var identity: Identity
    /// `nil`: whatever the user has by default.
    package var project: Named?

    package init(authURL: String, identity: Identity, project: Named?) {
        self.authURL = authURL
        self.identity = identity
        self.project = project
    }

    /// Where tokens are asked for.
    var tokensURL: String {
        var base = authURL
        while base.hasSuffix("/") { base.removeLast() }
        if base.hasSuffix("/v2.0") { base.removeLast(5) }
        return base.hasSuffix("/v3") ? base + "/auth/tokens" : base + "/v3/auth/tokens"
    }

    /// The body of the request for a token.
    var request: JSONValue {
        var auth: JSONObject = [:]
        switch identity {
        case .password(let user, let password):
            var user = user.json
            user["password"] = .string(password.secret)
            auth["identity"] = ["methods": ["password"], "password": ["user": .object(user)]]
            if let project { auth["scope"] = ["project": .object(project.json)] }
        case .applicationCredential(let id, let secret):
            auth["identity"] = [
                "methods": ["application_credential"],
                "application_credential": ["id": .string(id), "secret": .string(secret.secret)],
            ]
        }
        return ["auth": .object(auth)]
    }
}
