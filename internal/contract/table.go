package contract

// Sets is the contract. The README's and docs' tables and the samples of .env
// files are generated from it (go run ./internal/contract/gen), so a change
// here is a change of the documentation. It is a function so that nothing is
// built at the start of a program that does not ask.
func Sets() []Set {
	return []Set{
		{Name: "run", Title: "run mode", Always: true, Variables: []Variable{
			{Name: "APP_RUN_MODE", Default: "WEB", Meaning: "WEB, TASK, WORKER, BEAT, or NAME of a `container-NAME.sh`"},
			{Name: "APP_WORKER_COUNT", Default: "1", Meaning: "number of copies, or `auto`"},
			{Name: "APP_TASK_LIST", Meaning: "TASK: `manage.py` commands with `;` between them"},
		}},
		{Name: "django", Title: "Django", Always: true, Variables: []Variable{
			{Name: "DJANGO_DEBUG", Kind: Boolean, Default: "False", Meaning: "debug pages; never in production"},
			{Name: "DJANGO_SECRET_KEY", Required: true, Unless: "DJANGO_DEBUG", Secret: true, Meaning: "signs sessions and tokens"},
			{Name: "DJANGO_TIMEZONE", Default: "UTC", Meaning: "name of the tz database, such as Australia/Sydney"},
			{Name: "BASE_URL", Kind: URL, Meaning: "where users reach the site"},
		}},
		{Name: "database", Title: "SQL database", Variables: []Variable{
			{Name: "DATABASE_HOST", Kind: Host, Required: true, Meaning: "name or address of the server"},
			{Name: "DATABASE_PORT", Kind: Port, Default: "5432", Meaning: "5432 is that of postgresql"},
			{Name: "DATABASE_NAME", Required: true, Meaning: "name of the database"},
			{Name: "DATABASE_USERNAME", Required: true, Meaning: "user of the database"},
			{Name: "DATABASE_PASSWORD", Required: true, Secret: true, Meaning: "the user's password"},
			{Name: "DATABASE_ENGINE", Kind: Choice, Choices: []string{"postgresql", "mysql", "sqlite3", "oracle"}, Default: "postgresql",
				Meaning: "backend of Django, or the dotted path of another"},
		}},
		{Name: "rabbitmq", Title: "RabbitMQ", Remark: "The broker of celery.", Variables: []Variable{
			{Name: "RABBITMQ_HOST", Kind: Host, Required: true, Meaning: "name or address of the server"},
			{Name: "RABBITMQ_PORT", Kind: Port, Default: "5672", Meaning: "AMQP"},
			{Name: "RABBITMQ_VHOST", Default: "/", Meaning: "virtual host"},
			{Name: "RABBITMQ_USERNAME", Required: true, Meaning: "user of the virtual host"},
			{Name: "RABBITMQ_PASSWORD", Required: true, Secret: true, Meaning: "the user's password"},
		}},
		redis("session", "Redis sessions", "SESSION"),
		redis("cache", "Redis cache", "CACHE"),
		{Name: "couchdb", Title: "CouchDB", Variables: []Variable{
			{Name: "COUCHDB_USERNAME", Required: true, Meaning: "user of the server"},
			{Name: "COUCHDB_PASSWORD", Required: true, Secret: true, Meaning: "the user's password"},
			{Name: "COUCHDB_HOST", Kind: Host, Default: "couchdb", Meaning: "name or address of the server"},
			{Name: "COUCHDB_PORT", Kind: Port, Default: "5984", Meaning: "HTTP"},
		}},
		{Name: "sentry", Title: "Sentry", Variables: []Variable{
			{Name: "SENTRY_DSN", Kind: URL, Required: true, Secret: true, Meaning: "where errors are reported"},
		}},
		{Name: "smtp", Title: "SMTP", Variables: []Variable{
			{Name: "SMTP_HOST", Kind: Host, Required: true, Meaning: "name or address of the server"},
			{Name: "SMTP_PORT", Kind: Port, Default: "587", Meaning: "587 is submission"},
			{Name: "SMTP_USERNAME", Meaning: "none: without login"},
			{Name: "SMTP_PASSWORD", Secret: true, Meaning: "the user's password"},
			{Name: "SMTP_USE_TLS", Kind: Boolean, Default: "False", Meaning: "STARTTLS"},
			{Name: "SMTP_FROM_EMAIL", Meaning: "sender of the application's mail"},
			{Name: "DJANGO_EMAIL_BACKEND", Meaning: "dotted path of Django's mail backend"},
		}},
		{Name: "aws", Title: "AWS", Remark: "The role gives the credentials.", Variables: []Variable{
			{Name: "AWS_REGION", Required: true, Meaning: "region of every service"},
		}},
		{Name: "appdata", Title: "application data", Remark: "Many instances share one bucket.", Variables: []Variable{
			{Name: "APPDATA_BUCKET", Required: true, Meaning: "S3 bucket"},
			{Name: "APPDATA_PREFIX", Meaning: "what this application's keys begin with"},
		}},
		{Name: "search", Title: "search", Variables: []Variable{
			{Name: "ANALYTICS_ES_ENDPOINT", Kind: Endpoint, Required: true, Meaning: "Elasticsearch"},
			{Name: "ANALYTICS_ES_INDEX_NAME", Meaning: "index"},
			{Name: "ANALYTICS_ES_ENGINE", Meaning: "dotted path of the search backend"},
		}},
	}
}

func redis(name, title, prefix string) Set {
	return Set{Name: name, Title: title, Variables: []Variable{
		{Name: prefix + "_REDIS_HOST", Kind: Host, Required: true, Meaning: "name or address of the server"},
		{Name: prefix + "_REDIS_PORT", Kind: Port, Default: "6379", Meaning: "Redis"},
		{Name: prefix + "_REDIS_DB", Kind: Number, Default: "0", Meaning: "number of the database"},
		{Name: prefix + "_REDIS_PASSWORD", Secret: true, Meaning: "none: without login"},
	}}
}

// settings are variables of ours beside the contract that an application may
// see: no typos of each other or of the contract's.
func settings() []string {
	return []string{"APP_BIND", "APP_DEBUG", "APP_INIT_TASKS", "APP_PLATFORM", "APP_WORKER_INDEX", "APP_WORKER_STRATEGY", "APP_WORKER_TOTAL"}
}
