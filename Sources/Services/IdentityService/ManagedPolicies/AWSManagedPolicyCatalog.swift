extension AWSManagedPolicy {
  /// The policies this region knows. An attachment of another one is refused with NoSuchEntity.
  static let all: [AWSManagedPolicy] = general + codeDeploy + storageAndCompute + deliveryTools + observation

  private static let general: [AWSManagedPolicy] = [
    AWSManagedPolicy("AdministratorAccess", "Full access to all services and resources.", Rule(actions: ["*"])),
    AWSManagedPolicy(
      "PowerUserAccess", "Full access to all services, but no management of users, groups and organizations.",
      Rule(element: "NotAction", actions: ["iam:*", "organizations:*", "account:*"]),
      .allow("iam", "CreateServiceLinkedRole", "DeleteServiceLinkedRole", "ListRoles"),
      .allow("organizations", "DescribeOrganization"),
      .allow("account", "GetAccountInformation", "ListRegions")),
    AWSManagedPolicy(
      "ReadOnlyAccess", "Read-only access to all services and resources.",
      Rule(
        actions: [
          "acm", "application-autoscaling", "autoscaling", "cloudformation", "cloudtrail", "cloudwatch", "codebuild",
          "codecommit",
          "codedeploy", "codepipeline", "codestar-connections", "codestar-notifications", "dynamodb", "ec2", "ecr", "ecs",
          "elasticbeanstalk", "elasticfilesystem", "elasticloadbalancing", "events", "iam", "kms", "lambda", "logs", "opsworks",
          "resource-groups", "route53", "s3", "scheduler", "sns", "sqs", "ssm", "tag",
        ].flatMap { ["\($0):Describe*", "\($0):Get*", "\($0):List*"] } + [
          "codebuild:BatchGet*", "codecommit:BatchGet*", "codecommit:GitPull", "codedeploy:BatchGet*", "cloudformation:Detect*",
          "cloudformation:EstimateTemplateCost", "cloudtrail:LookupEvents", "dynamodb:BatchGet*", "dynamodb:Query",
          "dynamodb:Scan",
          "ecr:BatchCheck*", "ecr:BatchGet*", "elasticbeanstalk:Check*", "elasticbeanstalk:Request*",
          "elasticbeanstalk:Retrieve*", "elasticbeanstalk:Validate*", "events:TestEventPattern", "iam:GenerateCredentialReport",
          "iam:Simulate*", "logs:FilterLogEvents", "logs:StartQuery", "logs:StopQuery", "logs:TestMetricFilter",
          "route53:TestDNSAnswer", "sqs:ReceiveMessage", "sts:GetAccessKeyInfo", "sts:GetCallerIdentity", "sts:GetSessionToken",
        ])),
    AWSManagedPolicy("IAMFullAccess", "Full access to IAM.", .allow("iam", "*")),
    AWSManagedPolicy(
      "IAMReadOnlyAccess", "Read-only access to IAM.",
      .allow("iam", "GenerateCredentialReport", "GenerateServiceLastAccessedDetails", "Get*", "List*", "Simulate*")),
    AWSManagedPolicy(
      "IAMUserChangePassword", "Lets a user change its own password.",
      .allow("iam", "ChangePassword", on: ["arn:aws:iam::*:user/${aws:username}"]), .allow("iam", "GetAccountPasswordPolicy")),
    AWSManagedPolicy(
      "IAMUserSSHKeys", "Lets a user manage its own SSH keys.",
      .allow(
        "iam", "DeleteSSHPublicKey", "GetSSHPublicKey", "ListSSHPublicKeys", "UpdateSSHPublicKey", "UploadSSHPublicKey",
        on: ["arn:aws:iam::*:user/${aws:username}"])),
    AWSManagedPolicy(
      "IAMSelfManageServiceSpecificCredentials", "Lets a user manage its own service-specific credentials.",
      .allow(
        "iam", "CreateServiceSpecificCredential", "ListServiceSpecificCredentials", "UpdateServiceSpecificCredential",
        "DeleteServiceSpecificCredential", "ResetServiceSpecificCredential", on: ["arn:aws:iam::*:user/${aws:username}"])),
  ]

  private static let codeDeployRoleRules: Rule = Rule(
    actions: [
      "CompleteLifecycleAction", "DeleteLifecycleHook", "DescribeAutoScalingGroups", "DescribeLifecycleHooks", "PutLifecycleHook",
      "RecordLifecycleActionHeartbeat", "CreateAutoScalingGroup", "CreateOrUpdateTags", "UpdateAutoScalingGroup",
      "EnableMetricsCollection", "DescribePolicies", "DescribeScheduledActions", "DescribeNotificationConfigurations",
      "SuspendProcesses", "ResumeProcesses", "AttachLoadBalancers", "AttachLoadBalancerTargetGroups", "PutScalingPolicy",
      "PutScheduledUpdateGroupAction", "PutNotificationConfiguration", "PutWarmPool", "DescribeScalingActivities",
      "DeleteAutoScalingGroup",
    ].map { "autoscaling:\($0)" } + [
      "ec2:DescribeInstances", "ec2:DescribeInstanceStatus", "ec2:TerminateInstances", "tag:GetResources", "sns:Publish",
      "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm",
    ]
      + [
        "DescribeLoadBalancers", "DescribeLoadBalancerAttributes", "DescribeInstanceHealth", "RegisterInstancesWithLoadBalancer",
        "DeregisterInstancesFromLoadBalancer", "DescribeTargetGroups", "DescribeTargetGroupAttributes", "DescribeTargetHealth",
        "RegisterTargets", "DeregisterTargets",
      ].map { "elasticloadbalancing:\($0)" })

  private static let codeDeploy: [AWSManagedPolicy] = [
    AWSManagedPolicy(
      "AWSCodeDeployRole", path: "/service-role/", "What CodeDeploy needs to deploy to instances: tags, groups, load balancers.",
      codeDeployRoleRules),
    AWSManagedPolicy(
      "AWSCodeDeployRoleForLambda", path: "/service-role/", "What CodeDeploy needs to shift traffic of Lambda functions.",
      .allow("cloudwatch", "DescribeAlarms"), .allow("lambda", "UpdateAlias", "GetAlias", "GetProvisionedConcurrencyConfig"),
      .allow("sns", "Publish"),
      .allow("s3", "GetObject", "GetObjectVersion", on: ["arn:aws:s3:::*/CodeDeploy/*"]),
      .allow(
        "s3", "GetObject", "GetObjectVersion", when: "{\"StringEquals\":{\"s3:ExistingObjectTag/UseWithCodeDeploy\":\"true\"}}"),
      .allow("lambda", "InvokeFunction", on: ["arn:aws:lambda:*:*:function:CodeDeployHook_*"])),
    AWSManagedPolicy(
      "AWSCodeDeployRoleForECS", "What CodeDeploy needs to shift traffic of ECS services.",
      .allow("ecs", "DescribeServices", "CreateTaskSet", "UpdateServicePrimaryTaskSet", "DeleteTaskSet"),
      .allow(
        "elasticloadbalancing", "DescribeTargetGroups", "DescribeListeners", "ModifyListener", "DescribeRules", "ModifyRule"),
      .allow("lambda", "InvokeFunction"), .allow("cloudwatch", "DescribeAlarms"), .allow("sns", "Publish"),
      .allow("s3", "GetObject", "GetObjectVersion"), .passRole(to: "ecs-tasks")),
    AWSManagedPolicy(
      "AmazonEC2RoleforAWSCodeDeploy", path: "/service-role/", "Lets the deploy agent on an instance fetch revisions from S3.",
      .allow("s3", "GetObject", "GetObjectVersion", "ListBucket")),
    AWSManagedPolicy(
      "AmazonEC2RoleforAWSCodeDeployLimited", path: "/service-role/",
      "Lets the deploy agent fetch revisions kept for CodeDeploy.",
      .allow("s3", "GetObject", "GetObjectVersion", "ListBucket", on: ["arn:aws:s3:::*/CodeDeploy/*"]),
      .allow(
        "s3", "GetObject", "GetObjectVersion", when: "{\"StringEquals\":{\"s3:ExistingObjectTag/UseWithCodeDeploy\":\"true\"}}")),
    AWSManagedPolicy(
      "AWSCodeDeployFullAccess", "Full access to CodeDeploy.", .allow("codedeploy", "*"),
      .allow(
        "codestar-notifications", "CreateNotificationRule", "DescribeNotificationRule", "UpdateNotificationRule",
        "DeleteNotificationRule", "Subscribe", "Unsubscribe",
        when: "{\"StringLike\":{\"codestar-notifications:NotificationsForResource\":\"arn:aws:codedeploy:*\"}}"),
      .allow("codestar-notifications", "ListNotificationRules", "ListTargets", "ListTagsforResource", "ListEventTypes"),
      .allow("sns", "CreateTopic", "SetTopicAttributes", on: ["arn:aws:sns:*:*:codestar-notifications*"]),
      .allow("sns", "ListTopics")),
    AWSManagedPolicy(
      "AWSCodeDeployDeployerAccess", "Lets a person register revisions and deploy them.",
      .allow("codedeploy", "Batch*", "CreateDeployment", "Get*", "List*", "RegisterApplicationRevision")),
    AWSManagedPolicy(
      "AWSCodeDeployReadOnlyAccess", "Read-only access to CodeDeploy.", .allow("codedeploy", "Batch*", "Get*", "List*")),
  ]

  private static let storageAndCompute: [AWSManagedPolicy] = [
    AWSManagedPolicy("AmazonS3FullAccess", "Full access to S3.", .allow("s3", "*"), .allow("s3-object-lambda", "*")),
    AWSManagedPolicy(
      "AmazonS3ReadOnlyAccess", "Read-only access to S3.", .allow("s3", "Get*", "List*", "Describe*"),
      .allow("s3-object-lambda", "Get*", "List*")),
    AWSManagedPolicy(
      "AmazonEC2FullAccess", "Full access to EC2.", .allow("ec2", "*"), .allow("elasticloadbalancing", "*"),
      .allow("cloudwatch", "*"), .allow("autoscaling", "*"),
      .allow(
        "iam", "CreateServiceLinkedRole",
        when: "{\"StringEquals\":{\"iam:AWSServiceName\":[\"autoscaling.amazonaws.com\",\"ec2scheduled.amazonaws.com\","
          + "\"elasticloadbalancing.amazonaws.com\",\"spot.amazonaws.com\",\"spotfleet.amazonaws.com\","
          + "\"transitgateway.amazonaws.com\"]}}")),
    AWSManagedPolicy(
      "AmazonEC2ReadOnlyAccess", "Read-only access to EC2.", .allow("ec2", "Describe*", "Get*"),
      .allow("elasticloadbalancing", "Describe*"),
      .allow("cloudwatch", "ListMetrics", "GetMetricStatistics", "Describe*"), .allow("autoscaling", "Describe*")),
    AWSManagedPolicy(
      "AmazonSSMManagedInstanceCore", "What an instance needs to be managed by Systems Manager.",
      .allow(
        "ssm", "DescribeAssociation", "GetDeployablePatchSnapshotForInstance", "GetDocument", "DescribeDocument", "GetManifest",
        "GetParameter", "GetParameters", "ListAssociations", "ListInstanceAssociations", "PutInventory", "PutComplianceItems",
        "PutConfigurePackageResult", "UpdateAssociationStatus", "UpdateInstanceAssociationStatus", "UpdateInstanceInformation"),
      .allow("ssmmessages", "CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel"),
      .allow(
        "ec2messages", "AcknowledgeMessage", "DeleteMessage", "FailMessage", "GetEndpoint", "GetMessages", "SendReply")),
    AWSManagedPolicy(
      "AutoScalingFullAccess", "Full access to Auto Scaling.", .allow("autoscaling", "*"), .allow("cloudwatch", "PutMetricAlarm"),
      .allow(
        "ec2", "DescribeAccountAttributes", "DescribeAvailabilityZones", "DescribeImages", "DescribeInstanceAttribute",
        "DescribeInstances", "DescribeKeyPairs", "DescribeLaunchTemplateVersions", "DescribePlacementGroups",
        "DescribeSecurityGroups", "DescribeSpotInstanceRequests", "DescribeSubnets", "DescribeVpcClassicLink"),
      .allow("elasticloadbalancing", "DescribeLoadBalancers", "DescribeTargetGroups"),
      .allow(
        "iam", "CreateServiceLinkedRole", when: "{\"StringEquals\":{\"iam:AWSServiceName\":\"autoscaling.amazonaws.com\"}}")),
    AWSManagedPolicy("AutoScalingReadOnlyAccess", "Read-only access to Auto Scaling.", .allow("autoscaling", "Describe*")),
    AWSManagedPolicy(
      "ElasticLoadBalancingFullAccess", "Full access to Elastic Load Balancing.", .allow("elasticloadbalancing", "*"),
      .allow(
        "ec2", "DescribeAccountAttributes", "DescribeAddresses", "DescribeInternetGateways", "DescribeSecurityGroups",
        "DescribeSubnets", "DescribeVpcs", "DescribeVpcClassicLink", "DescribeInstances", "DescribeNetworkInterfaces",
        "DescribeClassicLinkInstances", "DescribeRouteTables"),
      .allow(
        "iam", "CreateServiceLinkedRole",
        when: "{\"StringEquals\":{\"iam:AWSServiceName\":\"elasticloadbalancing.amazonaws.com\"}}")),
    AWSManagedPolicy(
      "AWSLambdaBasicExecutionRole", path: "/service-role/", "Lets a function write its log.",
      .allow("logs", "CreateLogGroup", "CreateLogStream", "PutLogEvents")),
    AWSManagedPolicy("AmazonDynamoDBFullAccess", "Full access to DynamoDB.", .allow("dynamodb", "*")),
    AWSManagedPolicy("AmazonSNSFullAccess", "Full access to SNS.", .allow("sns", "*")),
    AWSManagedPolicy("AmazonSQSFullAccess", "Full access to SQS.", .allow("sqs", "*")),
  ]

  private static let deliveryTools: [AWSManagedPolicy] = [
    AWSManagedPolicy("AWSCloudFormationFullAccess", "Full access to CloudFormation.", .allow("cloudformation", "*")),
    AWSManagedPolicy(
      "AWSCloudFormationReadOnlyAccess", "Read-only access to CloudFormation.",
      .allow(
        "cloudformation", "Describe*", "EstimateTemplateCost", "Get*", "List*", "ValidateTemplate", "Detect*")),
    AWSManagedPolicy("AWSCodeCommitFullAccess", "Full access to CodeCommit.", .allow("codecommit", "*")),
    AWSManagedPolicy(
      "AWSCodeCommitPowerUser", "Access to repositories without the right to delete them.",
      .allow(
        "codecommit", "AssociateApprovalRuleTemplateWithRepository", "BatchAssociateApprovalRuleTemplateWithRepositories",
        "BatchDisassociateApprovalRuleTemplateFromRepositories", "BatchGet*", "BatchDescribe*", "Create*", "DeleteBranch",
        "DeleteFile", "Describe*", "DisassociateApprovalRuleTemplateFromRepository", "EvaluatePullRequestApprovalRules", "Get*",
        "List*", "Merge*", "OverridePullRequestApprovalRules", "Put*", "Post*", "TagResource", "Test*", "UntagResource",
        "Update*", "GitPull", "GitPush")),
    AWSManagedPolicy(
      "AWSCodeCommitReadOnly", "Read-only access to CodeCommit.",
      .allow(
        "codecommit", "BatchGet*", "BatchDescribe*", "Describe*", "EvaluatePullRequestApprovalRules", "Get*", "List*",
        "GitPull")),
    AWSManagedPolicy("AWSCodeBuildAdminAccess", "Full access to CodeBuild.", .allow("codebuild", "*")),
    AWSManagedPolicy("AWSCodePipeline_FullAccess", "Full access to CodePipeline.", .allow("codepipeline", "*")),
  ]

  private static let observation: [AWSManagedPolicy] = [
    AWSManagedPolicy(
      "CloudWatchFullAccess", "Full access to CloudWatch and its logs.", .allow("autoscaling", "Describe*"),
      .allow("cloudwatch", "*"), .allow("logs", "*"), .allow("sns", "*"),
      .allow("iam", "GetPolicy", "GetPolicyVersion", "GetRole")),
    AWSManagedPolicy(
      "CloudWatchAgentServerPolicy", "What the CloudWatch agent needs on an instance.", .allow("cloudwatch", "PutMetricData"),
      .allow("ec2", "DescribeVolumes", "DescribeTags"),
      .allow(
        "logs", "PutLogEvents", "PutRetentionPolicy", "DescribeLogStreams", "DescribeLogGroups", "CreateLogStream",
        "CreateLogGroup"),
      .allow("ssm", "GetParameter", on: ["arn:aws:ssm:*:*:parameter/AmazonCloudWatch-*"])),
    AWSManagedPolicy("AmazonRoute53FullAccess", "Full access to Route 53.", .allow("route53", "*")),
    AWSManagedPolicy(
      "AmazonRoute53ReadOnlyAccess", "Read-only access to Route 53.", .allow("route53", "Get*", "List*", "TestDNSAnswer")),
  ]
}
